"""Chats: what a model is given to go on from."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[Message, ...]
"""A chat that ends with a user's message; the engine renders it with the model's own template."""
