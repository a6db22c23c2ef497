"""Settings of a search."""

from typing import Annotated, Literal

from pydantic import Field

from pmi_kernel.core.settings import Settings

IN_EPISODE = ("overlap", "bm25")
"""Retrievers that search the question's own paragraphs."""


class RetrievalConfig(Settings):
    """What a search returns of the question's own paragraphs."""

    retriever: Literal["overlap", "bm25"] = "overlap"
    """Scoring: overlap (shared tokens; the protocol's own) or bm25 (better)."""
    topk: Annotated[int, Field(ge=1, le=100_000)] = 3
    """Passages a search returns."""
    max_chars: Annotated[int, Field(ge=1, le=100_000_000)] = 2000
    """Most characters of evidence; cut at a sentence end."""
    first_query: str | None = None
    """Query of the first search; by default the question's content words."""

    @property
    def needs_context(self) -> bool:
        """Whether there is nothing to search without paragraphs of the question's own."""
        return self.retriever in IN_EPISODE
