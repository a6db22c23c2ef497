"""From scores to evidence: the best passages, cut to size, with the cut on record."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pmi_kernel.core import progress
from pmi_kernel.core.task import Paragraph
from pmi_kernel.core.trace import Passage, PassageUse
from pmi_kernel.retrieval.base import Retriever


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a search found.

    Attributes:
        passages: Every paragraph of the context in rank order, with its use.
        cut_chars: Characters of the top passages that `max_chars` left out.
    """

    passages: tuple[Passage, ...]
    cut_chars: int

    @property
    def text(self) -> str:
        """The evidence as it goes into a prompt."""
        return evidence_text(self.passages)

    def measures(self, retrieve_s: float) -> dict[str, float]:
        """Return what the search gave, and the seconds that it took."""
        return {
            "evidence_chars": len(self.text),
            "cut_chars": self.cut_chars,
            "retrieve_s": retrieve_s,
        }

    def sentences(self, context: Sequence[Paragraph]) -> list[str]:
        """Return the evidence's whole sentences in rank order; `context` as it was searched."""
        return [
            sentence
            for passage in self.passages
            for sentence, end in _ends(context[passage.index])
            if end <= len(passage.text)
        ]


def evidence_text(passages: Sequence[Passage]) -> str:
    """Return one line for each passage that is not left out, `title: text`."""
    return "\n".join(f"{p.title}: {p.text}" for p in passages if p.use is not PassageUse.LEFT_OUT)


def retrieve(
    retriever: Retriever,
    query: str,
    context: Sequence[Paragraph],
    *,
    topk: int,
    max_chars: int,
) -> Evidence:
    """Return the evidence for a query; equal scores keep the paragraphs' own order.

    Args:
        retriever: Scores the paragraphs.
        query: The query.
        context: The question's own paragraphs.
        topk: Passages to use.
        max_chars: Most characters of `Evidence.text`. The passage that crosses it is cut at its
            last sentence end within it, or where even its first sentence crosses it, at a word's
            end; passages after it are left out.
    """
    progress.at(progress.Phase.SEARCHING)
    scores = retriever.scores(query, context)
    order = sorted(range(len(context)), key=lambda index: -scores[index])
    passages, room, cut_chars = [], max_chars, 0
    for rank, index in enumerate(order, start=1):
        paragraph = context[index]
        text = ""
        if rank <= topk:
            room -= len(paragraph.title) + 2 + (rank > 1)
            text = _cut(paragraph, room)
            cut_chars += len(paragraph.text) - len(text)
            room = room - len(text) if text == paragraph.text else 0
        use = PassageUse.USED if text == paragraph.text else PassageUse.CUT
        passages.append(
            Passage(
                index=index,
                title=paragraph.title,
                text=text,
                score=scores[index],
                rank=rank,
                use=use if text else PassageUse.LEFT_OUT,
            )
        )
    return Evidence(tuple(passages), cut_chars)


def _cut(paragraph: Paragraph, max_chars: int) -> str:
    """The paragraph's text up to its last end within `max_chars`: a sentence's, else a word's."""

    def last(ends: Iterable[int]) -> int:
        return max((end for end in ends if end <= max_chars), default=0)

    text = paragraph.text
    if len(text) <= max_chars:
        return text
    words = re.finditer(r"\S+", text)
    return text[: last(end for _, end in _ends(paragraph)) or last(word.end() for word in words)]


def _ends(paragraph: Paragraph) -> Iterator[tuple[str, int]]:
    """Each sentence that is not blank, white space folded, and where it ends in the text."""
    end = 0
    for sentence in paragraph.sentences:
        if folded := " ".join(sentence.split()):
            end += (end > 0) + len(folded)
            yield folded, end
