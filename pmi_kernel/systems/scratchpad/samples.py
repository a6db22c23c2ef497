"""Samples: what is trained on, part by part, of any question whose gold documents are known."""

from dataclasses import dataclass

from pmi_kernel.core.task import Example
from pmi_kernel.systems.scratchpad.prompts import (
    ANSWER,
    EVIDENCE,
    completed,
    evidence_text,
    question_text,
)


@dataclass(frozen=True, slots=True)
class ScratchpadSample:
    """One sample: `given` and `learned` together are what a model reads in training.

    Attributes:
        example: The question, its documents in the order of the sample.
        gold_at: Places of the gold documents, from 0.
        evidence: The gold documents as they are copied.
        given: System prompt, question, all documents, question, and the mark of what follows.
        learned: Evidence, question and answer; or the answer at once.
    """

    example: Example
    gold_at: tuple[int, ...]
    evidence: str
    given: str
    learned: str

    @property
    def text(self) -> str:
        """The whole sample."""
        return self.given + self.learned


def make_sample(
    example: Example, *, is_written: bool = True, is_first: bool = True
) -> ScratchpadSample:
    """Return a question as a sample.

    Args:
        example: The question, its documents in order.
        is_written: Whether the evidence is written down before the answer.
        is_first: Whether the question stands before the documents too.

    Raises:
        ValueError: None of its documents is known to be gold, or one is empty.
    """
    task, titles = example.task, example.gold.passages
    if empty := [one.title for one in task.context if not one.text]:
        raise ValueError(f"the document {empty[0]!r} is empty")
    gold_at = tuple(at for at, one in enumerate(task.context) if one.title in titles)
    if not gold_at:
        raise ValueError("none of its documents is known to be gold")
    evidence = evidence_text(task.context, gold_at)
    answer = task.form.given(example.gold.answers[0])
    shown = question_text(task.question, task.context, task.form, is_first=is_first)
    given, learned = f"{shown}\n{ANSWER}", f" {answer}"
    if is_written:
        given = f"{shown}\n{EVIDENCE}"
        learned = f"{completed(evidence, task.question, task.form)} {answer}"
    return ScratchpadSample(example, gold_at, evidence, given, learned)
