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
    artifacts, gold_titles = step.artifacts, gold.passages if gold else frozenset()
    titles, found = artifacts.get("titles"), artifacts.get("copied")
    if not (isinstance(titles, list) and isinstance(found, list)):
        titles, found = [], []
    sentences = []
    for one in found:
        title = titles[one["document"] - 1] if one["document"] else ""
        is_gold = bool(title) and title in gold_titles if gold_titles else None
        sentences.append(Sentence(one["text"], one["document"], title, is_gold))
    there = gold_titles.intersection(titles)
    copied = {one.title for one in sentences if one.is_gold}
    num = len(sentences)
    return Copying(
        tuple(sentences),
        recall=len(copied) / len(there) if there else None,
        precision=sum(one.is_gold is True for one in sentences) / num
        if num and gold_titles
        else None,
        foreign=sum(not one.document for one in sentences) / num if num else None,
    )
