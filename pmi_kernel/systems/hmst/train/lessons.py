"""What is learned from a question: an answer from evidence, and claims for the critic."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pmi_kernel.core.task import Example, titled
from pmi_kernel.core.trace import UNKNOWN
from pmi_kernel.systems.hmst.engine import asked_text

_TRIES = 64


@dataclass(frozen=True, slots=True)
class Claim:
    """An answer to be judged.

    Attributes:
        evidence: Texts that it is to follow from.
        answer: What is claimed.
        is_logical: Whether it is an answer to such a question.
        is_factual: Whether the evidence says it.
    """

    evidence: tuple[str, ...]
    answer: str
    is_logical: bool
    is_factual: bool

    @property
    def is_right(self) -> bool:
        """Whether the critic is to let it pass."""
        return self.is_logical and self.is_factual


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from one question.

    Attributes:
        question: As the hierarchy reads it.
        told: What was told before.
        gold: Places in `told` that support the answer; empty where nothing does.
        evidence: What the answer is learned from.
        answer: It; `UNKNOWN` where the evidence does not say it.
        claims: A right answer and a plausible wrong one.
    """

    question: str
    told: tuple[str, ...]
    gold: frozenset[int]
    evidence: tuple[str, ...]
    answer: str
    claims: tuple[Claim, ...]


def make_lesson(
    example: Example,
    source: Sequence[Example],
    draw: Random,
    *,
    most_evidence: int,
    without_gold: float,
) -> Lesson:
    """Return a question with what is told, what it is answered from, and what the critic judges.

    Args:
        example: The question with its gold.
        source: Questions whose answers are plausible and wrong.
        draw: Where chance comes from.
        most_evidence: Most texts that it is answered from.
        without_gold: Chance that what supports the answer is not among them.
    """
    told = tuple(titled(one.title, one.text) for one in example.task.context)
    gold = gold_places(example)
    others = [one for at, one in enumerate(told) if at not in gold]
    draw.shuffle(others)
    right = [told[at] for at in sorted(gold)]
    beside = others[: draw.randint(0, max(0, most_evidence - len(right)))]
    evidence, answer = [*right, *beside], example.gold.answers[0]
    if not gold or draw.random() < without_gold:
        evidence, answer = others[: draw.randint(0, most_evidence)], UNKNOWN
    draw.shuffle(evidence)
    claims = _claims(example, source, right, others[: most_evidence - 1], draw)
    return Lesson(asked_text(example.task), told, gold, tuple(evidence), answer, tuple(claims))


def gold_places(example: Example) -> frozenset[int]:
    """Return the places in a question's context of what supports the answer."""
    titles = example.gold.passages
    return frozenset(at for at, one in enumerate(example.task.context) if one.title in titles)


def _claims(
    example: Example,
    source: Sequence[Example],
    right: Sequence[str],
    others: Sequence[str],
    draw: Random,
) -> list[Claim]:
    """A right claim and a wrong one, on evidence in which look-alikes stand beside."""
    whole = [*right, *others]
    draw.shuffle(whole)
    evidence, without = tuple(whole), tuple(others)
    if not right:  # what is asked was never told
        wrong = _other_answer(example, source, draw, is_alike=True)
        return [Claim(without, UNKNOWN, True, True), Claim(without, wrong, True, False)]
    answer = example.gold.answers[0]
    alike, unlike = (_other_answer(example, source, draw, is_alike=one) for one in (True, False))
    wrong_claims = (
        Claim(evidence, alike, True, False),
        Claim(evidence, unlike, False, False),
        Claim(without, answer, True, False),
        Claim(evidence, UNKNOWN, True, False),
    )
    return [Claim(evidence, answer, True, True), draw.choice(wrong_claims)]


def _other_answer(
    example: Example, source: Sequence[Example], draw: Random, *, is_alike: bool
) -> str:
    """Another question's answer, to the same kind of question or to another kind."""
    mine = example.gold.answers[0]
    found = mine
    for _ in range(_TRIES):
        one = source[draw.randrange(len(source))]
        said = one.gold.answers[0]
        if said in (mine, UNKNOWN):
            continue
        found = said
        if (one.level == example.level) == is_alike:
            break
    return found
