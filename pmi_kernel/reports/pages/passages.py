"""What a step found, to be read: folded where it is long, with the gold sentences told apart."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from pmi_kernel.core.task import Gold, Paragraph, Task
from pmi_kernel.core.trace import Passage, PassageUse
from pmi_kernel.reports.pages.reading import highlight

_OPEN_PASSAGES = 5
_OPEN_CHARS = 1200
"""Passages of a search that stand open, and the longest of them; the others open by a click."""


def read_passages(
    passages: Sequence[Passage], task: Task, gold: Gold | None, wanted: set[str]
) -> list[dict[str, Any]]:
    """Return passages as the template `passages.html` shows them.

    Args:
        passages: In rank order.
        task: Whose paragraphs they are.
        gold: Says which sentences are gold; none are told apart where None.
        wanted: The words to mark, in lower case.
    """
    return [_read(passage, task, gold, wanted) for passage in passages]


def _read(passage: Passage, task: Task, gold: Gold | None, wanted: set[str]) -> dict[str, Any]:
    is_own = not passage.source and passage.index < len(task.context)
    known = task.context[passage.index] if is_own else None
    full = known.text if known else passage.text
    text = full if passage.use is PassageUse.LEFT_OUT else passage.text
    golden = list(_gold_spans(known, gold)) if known and gold else []
    return {
        "rank": passage.rank,
        "score": passage.score,
        "title": highlight(passage.title, wanted),
        "parts": [(highlight(part, wanted), is_gold) for part, is_gold in _parts(text, golden)],
        "rest": full[len(text) :].strip(),
        "is_cut": passage.use is PassageUse.CUT,
        "source": passage.source,
        "is_open": passage.rank <= _OPEN_PASSAGES and len(text) <= _OPEN_CHARS,
    }


def _gold_spans(paragraph: Paragraph, gold: Gold) -> Iterator[tuple[int, int]]:
    """Where the gold sentences stand in the paragraph's text."""
    places = {fact.sentence for fact in gold.supporting_facts if fact.title == paragraph.title}
    folded = [" ".join(sentence.split()) for sentence in paragraph.sentences]
    ends = accumulate(len(sentence) + bool(sentence) for sentence in folded)  # a blank behind each
    for place, (sentence, end) in enumerate(zip(folded, ends, strict=True)):
        if place in places and sentence:
            yield end - 1 - len(sentence), end - 1


def _parts(text: str, golden: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """The text in parts, each with whether it is gold."""
    at = 0
    for start, stop in golden:
        if start >= len(text):
            break
        if text[at:start]:
            yield text[at:start], False
        yield text[start:stop], True
        at = stop
    if text[at:]:
        yield text[at:], False
