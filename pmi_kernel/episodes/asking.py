"""What is asked of a system in one state of its memory, and how two states are told apart.

Comparisons are teacher-forced on the same tokens.
"""

from collections.abc import Sequence

import numpy as np

from pmi_kernel.core import progress
from pmi_kernel.core.answers import FREE, AnswerForm
from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.probe import GoldScore, Recall, UnrelatedAnswer
from pmi_kernel.core.system import Asks, Question

UNRELATED: tuple[tuple[str, str], ...] = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("How many days are there in a week?", "There are seven days in a week."),
    ("What do bees make?", "Bees make honey from the nectar of flowers."),
    ("Write a sentence about the sea.", "The sea was calm and blue under the morning sun."),
    ("What is two plus two?", "Two plus two is four."),
    ("Why is the sky blue?", "The sky is blue because air scatters blue light the most."),
    ("Name a large animal.", "The elephant is a large animal with a long trunk."),
    ("How do I boil an egg?", "Put the egg in boiling water for about eight minutes."),
)
"""Fixed prompts and replies on which drift is measured; no question's evidence touches them."""

WELL_KNOWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What is the capital of Norway?", ("Oslo",)),
    ("How many days are there in a week?", ("7", "seven", "7 days", "seven days")),
    ("What do bees make?", ("honey",)),
    ("What color is grass?", ("green",)),
    ("What is frozen water called?", ("ice",)),
    ("How many legs does a spider have?", ("8", "eight", "8 legs", "eight legs")),
    ("What is the opposite of hot?", ("cold",)),
    ("On which planet do we live?", ("Earth", "planet Earth")),
    ("What is the first month of the year?", ("January",)),
)
"""Fixed questions with short accepted answers, on which locality is measured; no data source that
comes with the workbench tells them otherwise."""


def recall(
    system: Asks,
    questions: Sequence[str],
    gold: str,
    state: object = None,
    *,
    form: AnswerForm = FREE,
    evidence: str | None = None,
) -> list[Recall]:
    """Return the answer to each question and the gold answer's score after it.

    Args:
        system: Is asked everything at once.
        questions: The questions.
        gold: The gold answer of all of them.
        state: The memory in force.
        form: What may be answered; of a choice, both answers are told without their letters.
        evidence: What to show before each; None for the questions alone.

    Raises:
        EngineError: As `Asks.ask`.
    """
    progress.check()
    asked = [Question(question, form.given(gold), evidence, form) for question in questions]
    replies = system.ask(asked, state)
    return [
        Recall(one.text, form.bare(reply.answer), reply.gold or GoldScore((), ()))
        for one, reply in zip(asked, replies, strict=True)
    ]


def ask_well_known(system: Asks, state: object = None) -> tuple[UnrelatedAnswer, ...]:
    """Return the answers to `WELL_KNOWN`, each asked alone.

    Raises:
        EngineError: As `Asks.ask`.
    """
    progress.check()
    replies = system.ask([Question(question) for question, _ in WELL_KNOWN], state)
    scored = [
        (question, reply.answer, score_answer(reply.answer, accepted))
        for (question, accepted), reply in zip(WELL_KNOWN, replies, strict=True)
    ]
    return tuple(
        UnrelatedAnswer(question, answer, score.em, score.sub_em)
        for question, answer, score in scored
    )


def read_unrelated(system: Asks, state: object = None) -> list[tuple[float, ...]]:
    """Return the log-probabilities (nats) of `UNRELATED`, bit-equal for the same state.

    They are read one by one, as what shares a batch moves scores by rounding.
    """
    read = []
    for done, (question, reply) in enumerate(UNRELATED):
        progress.at(progress.Phase.SCORING, done, len(UNRELATED))
        read.append(system.read(question, reply, state))
    return read


def mean_kl(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """Return the mean over all tokens of KL(before || after), in nats per token."""
    p, q = np.concatenate(before).astype(np.float64), np.concatenate(after).astype(np.float64)
    return max(0.0, float((np.exp(p) * (p - q)).sum(axis=1).mean()))


def share_same(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """Return the share in [0, 1] of tokens at which the likeliest next one is the same."""
    p, q = np.concatenate(before), np.concatenate(after)
    return float((p.argmax(axis=1) == q.argmax(axis=1)).mean())
