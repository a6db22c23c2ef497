"""From scores to evidence: the best passages, cut to size, with the cut on record."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pmi_kernel.core import progress
from pmi_kernel.core.task import Paragraph, titled
from pmi_kernel.core.trace import Passage, PassageUse
from pmi_kernel.retrieval.base import Retriever


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a search found.

    Attributes:
        passages: What was ranked, best first, each with its use: every paragraph of the context,
            or the best of a corpus.
        cut_chars: Characters of the top passages that `max_chars` left out.
        paragraphs: Those that the passages are of, whole.
    """

    passages: tuple[Passage, ...]
    cut_chars: int
    paragraphs: tuple[Paragraph, ...]

    @property
    def text(self) -> str:
        """The evidence as it goes into a prompt."""
        return evidence_text(self.passages)

    @property
    def used(self) -> tuple[Paragraph, ...]:
        """The paragraphs that are used, best first; of one that is cut, what is left of it."""
        return tuple(
            paragraph if one.use is PassageUse.USED else Paragraph(one.title, (one.text,))
            for one, paragraph in zip(self.passages, self.paragraphs, strict=True)
            if one.use is not PassageUse.LEFT_OUT
        )

    def measures(self, retrieve_s: float) -> dict[str, float]:
        """Return what the search gave, and the seconds that it took."""
        return {
            "evidence_chars": len(self.text),
            "cut_chars": self.cut_chars,
            "retrieve_s": retrieve_s,
        }

    def sentences(self) -> list[str]:
        """Return the evidence's whole sentences in rank order."""
        return [
            sentence
            for passage, paragraph in zip(self.passages, self.paragraphs, strict=True)
            for sentence, end in _ends(paragraph)
            if end <= len(passage.text)
        ]


def evidence_text(passages: Sequence[Passage]) -> str:
    """Return one line for each passage that is not left out, as `evidence_lines`."""
    return "\n".join(evidence_lines(passages))


def evidence_lines(passages: Sequence[Passage]) -> tuple[str, ...]:
    """Return each passage that is not left out as `title: text`, or as its text if it has none."""
    used = (one for one in passages if one.use is not PassageUse.LEFT_OUT)
    return tuple(titled(one.title, one.text) for one in used)


def retrieve(
    retriever: Retriever,
    query: str,
    context: Sequence[Paragraph],
    *,
    topk: int,
    max_chars: int,
) -> Evidence:
    """Return the evidence for a query.

    Args:
        retriever: Ranks the paragraphs.
        query: The query.
        context: The question's own paragraphs.
        topk: Passages to use.
        max_chars: Most characters of `Evidence.text`. The passage that crosses it is cut at its
            last sentence end within it, or where even its first sentence crosses it, at a word's
            end; passages after it are left out.
    """
    progress.at(progress.Phase.SEARCHING)
    ranked = retriever.search(query, context, topk)
    passages, room, cut_chars = [], max_chars, 0
    for rank, one in enumerate(ranked, start=1):
        paragraph = one.paragraph
        text = ""
        if rank <= topk:
            room -= (len(paragraph.title) + 2) * bool(paragraph.title) + (rank > 1)
            text = _cut(paragraph, room)
            cut_chars += len(paragraph.text) - len(text)
            room = room - len(text) if text == paragraph.text else 0
        use = PassageUse.USED if text == paragraph.text else PassageUse.CUT
        passages.append(
            Passage(
                index=one.index,
                title=paragraph.title,
                text=text,
                score=one.score,
                rank=rank,
                use=use if text else PassageUse.LEFT_OUT,
                source=one.source,
            )
        )
    return Evidence(tuple(passages), cut_chars, tuple(one.paragraph for one in ranked))


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
