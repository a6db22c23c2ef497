"""Token overlap, the plain scoring of the protocol."""

from collections.abc import Sequence

from pmi_kernel.core.task import Paragraph
from pmi_kernel.retrieval.base import InEpisode, words


class Overlap(InEpisode):
    """Scores a paragraph by how many distinct words of the query stand in its title or text."""

    def scores(self, query: str, context: Sequence[Paragraph]) -> list[float]:
        """See `InEpisode.scores`."""
        wanted = set(words(query))
        return [
            float(len(wanted & set(words(f"{paragraph.title} {paragraph.text}"))))
            for paragraph in context
        ]
