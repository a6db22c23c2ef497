"""BM25 over one question's paragraphs, by the library bm25s."""

import logging
from collections.abc import Sequence

import bm25s

from pmi_kernel.core.task import Paragraph
from pmi_kernel.retrieval.base import InEpisode, words

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG when imported


class Bm25(InEpisode):
    """Okapi BM25 (Robertson variant of bm25s), a paragraph's title counted twice.

    Counting the title twice put both gold paragraphs in the top three more often than counting it
    once on real HotpotQA questions; see `tests/retrieval`.
    """

    def scores(self, query: str, context: Sequence[Paragraph]) -> list[float]:
        """See `InEpisode.scores`."""
        corpus = [words(f"{p.title} {p.title} {p.text}") for p in context]
        index = bm25s.BM25()
        known = {word for document in corpus for word in document}
        wanted = [word for word in words(query) if word in known]
        if not wanted:
            return [0.0] * len(corpus)
        index.index(corpus, show_progress=False)
        return [float(score) for score in index.get_scores(wanted)]
