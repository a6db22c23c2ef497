"""Chats: what a model is given to go on from."""

import json
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat; of the role `text`, which stands alone, a text to be gone on with."""

    role: Literal["system", "user", "assistant", "text"]
    content: str


Prompt = tuple[Message, ...]
"""A chat that ends with a user's message, which the engine renders with the model's own template;
or a single text, which is taken as it stands."""


def copied(prompt: Prompt) -> str:
    """Return a prompt as a text to be pasted: of a chat, the usual JSON of its messages."""
    if [message.role for message in prompt] == ["text"]:
        return prompt[0].content
    return json.dumps([asdict(message) for message in prompt], ensure_ascii=False, indent=1)


def plain(text: str) -> Prompt:
    """Return a text as a prompt of its own, without a chat."""
    return (Message("text", text),)
