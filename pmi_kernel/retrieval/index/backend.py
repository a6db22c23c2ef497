"""What holds an index: on this machine's disk, or on a server."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pmi_kernel.retrieval.index.passages import CorpusPassage

K1, B = 1.2, 0.75
"""BM25's settings by default (Robertson and Zaragoza 2009, section 3.2)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found: its row in the corpus (from 0), and its score, higher is better."""

    row: int
    score: float
    passage: CorpusPassage


class Writes(Protocol):
    """Takes the passages of a corpus in order."""

    def add(self, row: int, passage: CorpusPassage) -> None:
        """Take a passage; it is there for good after the next `commit`."""
        ...

    def commit(self) -> None:
        """Make all that was added last, whatever happens to this process from now on.

        Raises:
            ConfigError: It cannot be written.
        """
        ...

    def close(self) -> None:
        """End it once all is committed; what was not is forgotten."""
        ...


class Backend(Protocol):
    """An index, being built or whole."""

    def count(self) -> int:
        """Return how many passages can be searched."""
        ...

    def writer(self, num_done: int) -> Writes:
        """Return what goes on after the first `num_done` passages, which are committed.

        Raises:
            ConfigError: The index cannot be written.
        """
        ...

    def check_room(self, num_bytes: int) -> None:
        """Refuse to go on where the disk is too full.

        Args:
            num_bytes: What is still to be written, about.

        Raises:
            ConfigError: There is not enough room; says how much is needed, where.
        """
        ...

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the k best passages, best first; of equal ones the earlier row."""
        ...

    def passages(self) -> Iterator[tuple[int, CorpusPassage]]:
        """Yield every passage with its row, in any order."""
        ...

    def drop(self) -> None:
        """Delete all of it."""
        ...
