"""What a retriever is, and the words that it goes by."""

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
