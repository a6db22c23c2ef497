"""Passages of a corpus's index, in place of the question's own paragraphs."""

from collections.abc import Mapping, Sequence

from pmi_kernel.core.task import Paragraph
from pmi_kernel.data.layouts.fields import prose
from pmi_kernel.retrieval.base import Ranked
from pmi_kernel.retrieval.index.store import open_index


class CorpusSearch:
    """Searches an index; see `Retriever`.

    Args:
        name: The index.
        is_incomplete_allowed: Whether one that lacks passages of its corpus will do.

    Raises:
        ConfigError: There is none of that name, it is not whole, or it is damaged.
    """

    def __init__(self, name: str, *, is_incomplete_allowed: bool = False) -> None:
        self._index = open_index(name, is_incomplete_allowed=is_incomplete_allowed)

    def search(self, query: str, context: Sequence[Paragraph], k: int) -> list[Ranked]:
        """See `Retriever.search`; the question's own paragraphs are not looked at."""
        return [
            Ranked(
                prose(hit.passage.title, hit.passage.text),
                hit.row,
                hit.score,
                f"{self._index.name}/{hit.passage.id}",
            )
            for hit in self._index.search(query, k)
        ]

    def describe(self) -> Mapping[str, str]:
        """See `Retriever.describe`."""
        return {"index": self._index.name, "index_sha256": self._index.sha256}
