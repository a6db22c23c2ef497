"""What a retriever is, and the words that it goes by."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pmi_kernel.core.task import Paragraph

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A paragraph as a retriever ranked it.

    Attributes:
        paragraph: The paragraph.
        index: Its position in the question's context, or its row in a corpus.
        score: Higher is better; the scale depends on the retriever.
        source: The index and the passage's id in it, as in `wiki/886`; empty for one of the
            question's own.
    """

    paragraph: Paragraph
    index: int
    score: float
    source: str = ""


class Retriever(Protocol):
    """Ranks paragraphs for a query."""

    def search(self, query: str, context: Sequence[Paragraph], k: int) -> Sequence[Ranked]:
        """Return paragraphs, best first.

        Args:
            query: The query.
            context: The question's own paragraphs; one that searches these returns all of them.
            k: How many of a corpus are returned.
        """
        ...

    def describe(self) -> Mapping[str, str]:
        """Return what it searches beside the question's own paragraphs, with its hash."""
        ...


class InEpisode(ABC):
    """A retriever of the question's own paragraphs; equal scores keep their order."""

    @abstractmethod
    def scores(self, query: str, context: Sequence[Paragraph]) -> list[float]:
        """Return one score for each paragraph, in their order; higher is better."""

    def search(self, query: str, context: Sequence[Paragraph], k: int) -> list[Ranked]:
        """See `Retriever.search`."""
        scores = self.scores(query, context)
        order = sorted(range(len(context)), key=lambda index: -scores[index])
        return [Ranked(context[index], index, scores[index]) for index in order]

    def describe(self) -> Mapping[str, str]:
        """See `Retriever.describe`."""
        return {}


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.lower())
