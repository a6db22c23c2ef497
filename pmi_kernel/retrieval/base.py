"""What a retriever is, and the retrievers by name."""

import re
from collections.abc import Sequence
from typing import Protocol

from pmi_kernel.core.task import Paragraph

_WORD = re.compile(r"\w+")


class Retriever(Protocol):
    """Scores paragraphs for a query."""

    def scores(self, query: str, context: Sequence[Paragraph]) -> list[float]:
        """Return one score for each paragraph, in their order; higher is better."""
        ...


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.lower())


def make_retriever(name: str) -> Retriever:
    """Return the retriever called `overlap` or `bm25`.

    Raises:
        ValueError: Another name.
    """
    if name == "overlap":
        from pmi_kernel.retrieval.overlap import Overlap

        return Overlap()
    if name == "bm25":
        from pmi_kernel.retrieval.bm25 import Bm25

        return Bm25()
    raise ValueError(f"retriever {name!r}: choose overlap or bm25")
