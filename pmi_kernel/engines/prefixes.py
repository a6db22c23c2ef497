"""Keys and values of prompts, kept: what a later prompt begins with alike is not read again."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers.cache_utils import DynamicCache, DynamicLayer

_LEAST = 64
"""Tokens that must be alike for a kept prompt to be gone on from."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    memory: object
    token_ids: tuple[int, ...]
    cache: DynamicCache


class PrefixCache:
    """The last prompts' keys and values, each under the memory that it was read under.

    Args:
        most: Prompts that are kept; 0 for none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[_Kept] = []

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self._most > 0

    def take(self, memory: object, token_ids: Sequence[int]) -> DynamicCache | None:
        """Return the keys and values of what a prompt begins with; None where that is too little.

        What is returned is kept no more; it is `keep`'s to give back, grown by the prompt.

        Args:
            memory: What was in force, or None; the same object.
            token_ids: The prompt's; its last token is never among what is returned.
        """
        best, longest = None, _LEAST - 1
        for one in self._kept:
            if one.memory is memory:
                alike = _alike(one.token_ids, token_ids[:-1])
                if alike > longest:
                    best, longest = one, alike
        if best is None:
            return None
        self._kept.remove(best)
        if extra := best.cache.get_seq_length() - longest:
            best.cache.crop(-extra)
        return best.cache

    def keep(self, memory: object, token_ids: Sequence[int], cache: DynamicCache) -> None:
        """Keep keys and values, and drop the oldest of too many.

        Args:
            memory: What was in force, or None.
            token_ids: What was read, and then generated.
            cache: Theirs, maybe of fewer than all.
        """
        if not all(type(layer) is DynamicLayer for layer in cache.layers):
            return  # attention that does not see all cannot be cropped
        known = tuple(token_ids[: cache.get_seq_length()])
        self._kept = [*self._kept, _Kept(memory, known, cache)][-self._most :]

    def clear(self) -> None:
        """Keep nothing."""
        self._kept = []


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    for place, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return place
    return min(len(one), len(other))
