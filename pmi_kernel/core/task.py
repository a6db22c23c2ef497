"""A question: what a system sees of it, and the gold that only metrics and probes see."""

from dataclasses import dataclass

from pmi_kernel.core.answers import FREE, AnswerForm


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
    """What a system may see of a question; no gold.

    Attributes:
        id: Unlike any other of its data set.
        question: The question.
        context: Its own paragraphs; maybe none.
        form: What may be answered.
    """

    id: str
    question: str
    context: tuple[Paragraph, ...] = ()
    form: AnswerForm = FREE


def titled(title: str, text: str) -> str:
    """Return a passage as it is shown and learned: `title: text`, or its text if it has none."""
    return f"{title}: {text}" if title else text


@dataclass(frozen=True, slots=True)
class SupportingFact:
    """One gold sentence: the paragraph's title and the sentence's position in it (from 0)."""

    title: str
    sentence: int


@dataclass(frozen=True, slots=True)
class Gold:
    """What only metrics and probes may see.

    Attributes:
        answers: Accepted answers, one or more; of a choice, the text of the right option.
        supporting_facts: The gold sentences.
        known: What a language model is expected to answer from its pretraining, where the context
            tells otherwise; else empty.
        titles: Titles of gold passages, where the data set tells no more than these.
    """

    answers: tuple[str, ...]
    supporting_facts: tuple[SupportingFact, ...] = ()
    known: str = ""
    titles: tuple[str, ...] = ()

    @property
    def passages(self) -> frozenset[str]:
        """Titles of all gold passages."""
        return frozenset(self.titles) | {fact.title for fact in self.supporting_facts}


@dataclass(frozen=True, slots=True)
class Example:
    """A task with its gold, the data set's own labels for it, and how it is scored.

    Attributes:
        task: What a system sees.
        gold: What it does not.
        type: The data set's question type; empty where it has none.
        level: Its difficulty; empty where it has none.
        metric: The official metric of its data set, a name of `core.scoring.METRICS`.
    """

    task: Task
    gold: Gold
    type: str = ""
    level: str = ""
    metric: str = "hotpotqa"
