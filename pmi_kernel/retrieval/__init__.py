"""Retrieval, of a question's own paragraphs or of a corpus: each retriever a file, a line here."""

from collections.abc import Callable

from pmi_kernel.retrieval.base import Ranked, Retriever
from pmi_kernel.retrieval.evidence import Evidence, evidence_text, retrieve
from pmi_kernel.retrieval.given import Given
from pmi_kernel.retrieval.overlap import Overlap
from pmi_kernel.retrieval.query import make_step0_query

__all__ = [
    "CORPUS",
    "RETRIEVERS",
    "Evidence",
    "Ranked",
    "Retriever",
    "evidence_text",
    "make_retriever",
    "make_step0_query",
    "retrieve",
]


def _bm25() -> Retriever:
    from pmi_kernel.retrieval.bm25 import Bm25  # only who asks for it waits for bm25s

    return Bm25()


CORPUS = "corpus"
"""The retriever of a corpus."""

RETRIEVERS: dict[str, Callable[[], Retriever]] = {
    "overlap": Overlap,
    "bm25": _bm25,
    "given": Given,
}
"""Every retriever of a question's own paragraphs, by its name in the settings."""


def make_retriever(name: str, index: str = "", *, is_incomplete_allowed: bool = False) -> Retriever:
    """Return the retriever of that name.

    Args:
        name: One of `RETRIEVERS`, or corpus.
        index: The index that the corpus retriever searches.
        is_incomplete_allowed: Whether an index that lacks passages of its corpus will do.

    Raises:
        ValueError: There is no such retriever.
        ConfigError: There is no such index, or it cannot be searched.
    """
    if name == CORPUS:
        from pmi_kernel.retrieval.corpus import CorpusSearch  # only who asks for it waits

        return CorpusSearch(index, is_incomplete_allowed=is_incomplete_allowed)
    if name not in RETRIEVERS:
        raise ValueError(f"retriever {name!r}: choose {', '.join(RETRIEVERS)} or {CORPUS}")
    return RETRIEVERS[name]()
