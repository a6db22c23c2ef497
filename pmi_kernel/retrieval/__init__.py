"""Retrieval within one question's own paragraphs: each retriever a file, and one line here."""

from collections.abc import Callable

from pmi_kernel.retrieval.base import Retriever
from pmi_kernel.retrieval.evidence import Evidence, evidence_text, retrieve
from pmi_kernel.retrieval.overlap import Overlap
from pmi_kernel.retrieval.query import make_step0_query

__all__ = [
    "RETRIEVERS",
    "Evidence",
    "Retriever",
    "evidence_text",
    "make_retriever",
    "make_step0_query",
    "retrieve",
]


def _bm25() -> Retriever:
    from pmi_kernel.retrieval.bm25 import Bm25  # only who asks for it waits for bm25s

    return Bm25()


RETRIEVERS: dict[str, Callable[[], Retriever]] = {"overlap": Overlap, "bm25": _bm25}
"""Every retriever, by its name in the settings."""


def make_retriever(name: str) -> Retriever:
    """Return the retriever of that name.

    Raises:
        ValueError: There is no such retriever.
    """
    if name not in RETRIEVERS:
        raise ValueError(f"retriever {name!r}: choose {' or '.join(RETRIEVERS)}")
    return RETRIEVERS[name]()
