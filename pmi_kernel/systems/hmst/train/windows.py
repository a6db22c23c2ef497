"""A text as samples of so many tokens, some of it held out."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt32

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.data.tokens import TextHash, Tokens, documents, is_held_out
from pmi_kernel.systems.hmst.training import HMSTTraining

_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Windows:
    """Samples in a row, each with the first token of the next one.

    Attributes:
        tokens: All of them, in memory or on disk.
        first: Where the samples begin.
        count: How many tokens they have.
        size: Tokens of a sample.
        sha256: Of the text.
    """

    tokens: Tokens | UInt32[np.ndarray, " tokens"]
    first: int
    count: int
    size: int
    sha256: str

    def __len__(self) -> int:
        return max(0, (self.count - 1) // self.size)

    def sample(self, number: int) -> UInt32[np.ndarray, " tokens"]:
        """Return a sample's tokens, one more than its size."""
        start = self.first + number * self.size
        if isinstance(self.tokens, Tokens):
            return self.tokens.window(start, self.size + 1)
        return self.tokens[start : start + self.size + 1]


def read(config: HMSTTraining, tokenizer: Any) -> tuple[Windows, Windows]:
    """Return what is trained on and what is held out.

    Raises:
        ConfigError: It is too short, or the tokens are another tokenizer's.
        DataError: It cannot be read.
    """
    size, share = config.sequence, config.val_split or _SHARE
    if config.pretokenized:
        whole = Tokens(Path(config.pretokenized))
        whole.check(tokenizer)
        sha256 = whole.header["text_sha256"]
        held = 0 if config.val_file else int(len(whole) * share)
        train = Windows(whole, 0, len(whole) - held, size, sha256)
        val = Windows(whole, len(whole) - held, held, size, sha256)
    else:
        sides: tuple[list[str], list[str]] = ([], [])
        for text in documents(config.text):
            is_held = not config.val_file and is_held_out(text, share, config.seed)
            sides[is_held].append(text)
        train, val = (_in_memory(texts, tokenizer, size) for texts in sides)
    if config.val_file:
        val = _in_memory(documents(config.val_file), tokenizer, size)
    for name, found in (("train on", train), ("hold out", val)):
        if not len(found):
            raise ConfigError(
                f"{found.count} tokens to {name} are not one sample of {size} and the token after "
                "it; take a longer text, or a smaller --sequence"
            )
    return train, val


def _in_memory(texts: Iterable[str], tokenizer: Any, size: int) -> Windows:
    hashed, rows = TextHash(), []
    for text in texts:
        hashed.add(text)
        row = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        rows.append(np.array([*row, tokenizer.eos_token_id], dtype=np.uint32))
    tokens = np.concatenate(rows) if rows else np.zeros(0, dtype=np.uint32)
    return Windows(tokens, 0, len(tokens), size, hashed.hexdigest())
