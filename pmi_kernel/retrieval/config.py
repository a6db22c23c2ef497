"""Settings of a search."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from pmi_kernel.core.settings import Settings

if TYPE_CHECKING:
    from pmi_kernel.retrieval.base import Retriever

IN_EPISODE = ("overlap", "bm25", "given")
"""Retrievers that search the question's own paragraphs."""


class RetrievalConfig(Settings):
    """What a search returns, of the question's own paragraphs or of a corpus."""

    retriever: Literal["overlap", "bm25", "given", "corpus"] = "overlap"
    """Scoring: overlap (shared tokens; the protocol's own) or bm25 (better) of the question's own
    paragraphs, or these as they are given; or corpus: bm25 of the passages of an index."""
    index: str = ""
    """The index that the retriever corpus searches, by its name."""
    allow_incomplete: bool = False
    """Search an index that lacks passages of its corpus, too."""
    topk: Annotated[int, Field(ge=1, le=100_000)] = 3
    """Passages a search returns."""
    max_chars: Annotated[int, Field(ge=1, le=100_000_000)] = 2000
    """Most characters of evidence; cut at a sentence end."""
    first_query: str | None = None
    """Query of the first search; by default the question's content words."""

    @model_validator(mode="after")
    def _check_index(self) -> Self:
        if (self.retriever == "corpus") != bool(self.index):
            raise ValueError("index is needed where the retriever is corpus, and nowhere else")
        return self

    def build_retriever(self) -> "Retriever":
        """Return the retriever, ready to search.

        Raises:
            ConfigError: There is no such index, or it cannot be searched.
        """
        from pmi_kernel.retrieval import make_retriever

        return make_retriever(
            self.retriever, self.index, is_incomplete_allowed=self.allow_incomplete
        )

    @property
    def needs_context(self) -> bool:
        """Whether there is nothing to search without paragraphs of the question's own."""
        return self.retriever in IN_EPISODE
