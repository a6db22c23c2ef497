"""A tokenizer with its model's own chat template."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

import jinja2
import llguidance.hf
from llguidance import LLTokenizer
from transformers import PreTrainedTokenizerBase, TokenizersBackend

from pmi_kernel.engines.base import Message, Prompt
from pmi_kernel.errors import ConfigError


class ChatTokenizer:
    """Renders prompts and turns text to tokens and back.

    Args:
        tokenizer: A fast tokenizer with a chat template.
        name: Names the model in messages.

    Raises:
        ConfigError: The tokenizer has no chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, name: str) -> None:
        if not tokenizer.chat_template:
            raise ConfigError(
                f"model {name!r} has no chat template; use an instruction-tuned model, or put a "
                "chat_template.jinja beside its tokenizer"
            )
        self._tokenizer = tokenizer

    def render(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tokens of the prompt up to where the assistant's message begins."""
        try:
            text = self._apply(prompt)
        except jinja2.TemplateError:  # templates without a system role (Gemma, early Mistral)
            text = self._apply(_fold_system(prompt))
        return self.encode(text)

    def _apply(self, prompt: Prompt) -> str:
        messages = [{"role": m.role, "content": m.content} for m in prompt]
        text = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False, enable_thinking=False
        )
        assert isinstance(text, str)
        return text

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a plain text, without special tokens around it."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of the tokens, special tokens left out."""
        text = self._tokenizer.decode(list(token_ids), skip_special_tokens=True)
        assert isinstance(text, str)
        return text

    def pieces(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token."""
        return tuple(self.decode([token]) for token in token_ids)

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder."""
        self._tokenizer.save_pretrained(folder)

    @property
    def eos_id(self) -> int | None:
        """The end token."""
        eos = self._tokenizer.eos_token_id
        return eos if isinstance(eos, int) else None

    @cached_property
    def grammar_tokenizer(self) -> LLTokenizer:
        """The tokenizer as llguidance needs it."""
        return llguidance.hf.from_tokenizer(cast("TokenizersBackend", self._tokenizer))


def _fold_system(prompt: Prompt) -> Prompt:
    """The same chat with its system message put at the head of the first user message."""
    if len(prompt) < 2 or prompt[0].role != "system" or prompt[1].role != "user":
        return prompt
    system, first, *rest = prompt
    return (Message("user", f"{system.content}\n\n{first.content}"), *rest)
