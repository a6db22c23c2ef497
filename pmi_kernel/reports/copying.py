"""What a scratchpad copied: of the gold documents, of others, and what stands in none."""

from dataclasses import dataclass

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that was written down.

    Attributes:
        text: The sentence.
        document: Number of the document that has it, from 1; 0 where none has.
        title: Of that document; empty where there is none.
        is_gold: Whether that is a gold document; None where that is not known.
    """

    text: str
    document: int
    title: str
    is_gold: bool | None


@dataclass(frozen=True, slots=True)
class Copying:
    """What a scratchpad came to; shares are in [0, 1].

    Attributes:
        sentences: What was written down.
        recall: Share of the gold documents of which a sentence was copied; None where none is
            among the documents, or none is known.
        precision: Share of the sentences that stand in a gold document; None where nothing was
            written, or no gold is known.
        foreign: Share of the sentences that stand in no document; None where nothing was written.
    """

    sentences: tuple[Sentence, ...]
    recall: float | None
    precision: float | None
    foreign: float | None


def copying(step: Step, gold: Gold | None) -> Copying:
    """Return what a step of kind `scratchpad` copied.

    Args:
        step: The step, as the scratchpad system has it.
        gold: Says which documents support the answer; None where that is not known.
    """
    titles, found = step.artifacts.get("titles"), step.artifacts.get("copied")
    titles = list(titles) if isinstance(titles, list) else []
    gold_titles = gold.passages if gold else frozenset()
    sentences = tuple(
        Sentence(
            one["text"],
            one["document"],
            titles[one["document"] - 1] if one["document"] else "",
            titles[one["document"] - 1] in gold_titles
            if one["document"] and gold_titles
            else (False if gold_titles else None),
        )
        for one in (found if isinstance(found, list) else [])
    )
    there = {title for title in titles if title in gold_titles}
    copied = {one.title for one in sentences if one.is_gold}
    num = len(sentences)
    return Copying(
        sentences,
        recall=len(copied) / len(there) if there else None,
        precision=sum(bool(one.is_gold) for one in sentences) / num
        if num and gold_titles
        else None,
        foreign=sum(not one.document for one in sentences) / num if num else None,
    )
