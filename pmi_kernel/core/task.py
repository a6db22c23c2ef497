"""A question: what a system sees of it, and the gold that only metrics and probes see."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One titled paragraph of a question's context, split in sentences as the data set has them."""

    title: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences as one string, white space folded to single blanks."""
        return " ".join(" ".join(self.sentences).split())


@dataclass(frozen=True, slots=True)
class Task:
    """What a system may see of a question: id, question and context paragraphs; no gold."""

    id: str
    question: str
    context: tuple[Paragraph, ...]


@dataclass(frozen=True, slots=True)
class SupportingFact:
    """One gold sentence: the paragraph's title and the sentence's position in it (from 0)."""

    title: str
    sentence: int


@dataclass(frozen=True, slots=True)
class Gold:
    """What only metrics and probes may see.

    Attributes:
        answers: Accepted answers, one or more.
        supporting_facts: The gold sentences.
        known: What a language model is expected to answer from its pretraining, where the context
            tells otherwise; else empty.
    """

    answers: tuple[str, ...]
    supporting_facts: tuple[SupportingFact, ...] = ()
    known: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A task with its gold, and the data set's own labels for it."""

    task: Task
    gold: Gold
    type: str = ""
    level: str = ""
