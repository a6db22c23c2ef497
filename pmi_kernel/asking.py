"""What is asked of a model in one state of its weights, and how two states are told apart.

Comparisons are teacher-forced on the same tokens. All questions of a call are asked at once, so
that engines can batch them; what shares a batch moves scores by rounding.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np

from pmi_kernel.actions import ACTION_STOPS
from pmi_kernel.engines.base import Adapter, Engine, Message, Prompt, Sampling
from pmi_kernel.metrics import normalize_answer, score_answer
from pmi_kernel.prompts import MAX_SHOTS, answer_prompt, reword_prompt, short_answer
from pmi_kernel.types import GoldScore, Recall, UnrelatedAnswer

Answer = TypeVar("Answer")

_OPEN, _CLOSE = "<answer>", "</answer>"
_CALLERS = 16
"""Questions asked at once."""
_MAX_REPHRASINGS = 3
_REPHRASING_TOKENS = 40

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


def write_rephrasings(engine: Engine, question: str) -> tuple[str, ...]:
    """Return the question in the base model's own other words; at most three, maybe none.

    Raises:
        EngineError: As `Engine.generate`.
    """
    sampling = Sampling(
        regex=rf"([A-Z][^\n?]{{8,160}}\?\n){{1,{_MAX_REPHRASINGS}}}",
        max_tokens=_MAX_REPHRASINGS * _REPHRASING_TOKENS,
    )
    lines = engine.generate(reword_prompt(question), sampling=sampling).text.splitlines()
    found = {normalize_answer(line): line.strip() for line in lines if line.strip().endswith("?")}
    found.pop(normalize_answer(question), None)
    return tuple(found.values())[:_MAX_REPHRASINGS]


def recall(
    engine: Engine,
    questions: Sequence[str],
    gold: str,
    adapter: Adapter | None = None,
    *,
    evidence: str | None = None,
) -> list[Recall]:
    """Return the answer to each question and the gold answer's score after it.

    Args:
        engine: Is asked everything at once.
        questions: The questions.
        gold: The gold answer of all of them.
        adapter: The memory in force.
        evidence: What to show before each; None for the questions alone.

    Raises:
        EngineError: As `Engine.generate` and `Engine.score`.
    """
    sampling = Sampling(max_tokens=32, stop=ACTION_STOPS)
    prompts = [answer_prompt(question, evidence, shots=MAX_SHOTS) for question in questions]
    scores = [partial(score_gold, engine, prompt, gold, adapter) for prompt in prompts]
    outputs = [
        partial(engine.generate, prompt, adapter=adapter, sampling=sampling) for prompt in prompts
    ]
    scored, said = _at_once(scores), _at_once(outputs)
    return [
        Recall(question, short_answer(output.text), score)
        for question, output, score in zip(questions, said, scored, strict=True)
    ]


def ask_well_known(engine: Engine, adapter: Adapter | None = None) -> tuple[UnrelatedAnswer, ...]:
    """Return the answers to `WELL_KNOWN`, each asked alone.

    Raises:
        EngineError: As `Engine.generate`.
    """
    sampling = Sampling(max_tokens=16, stop=ACTION_STOPS)
    prompts = [answer_prompt(question, None, shots=1) for question, _ in WELL_KNOWN]
    outputs = _at_once(
        [partial(engine.generate, prompt, adapter=adapter, sampling=sampling) for prompt in prompts]
    )
    answers = [short_answer(output.text) for output in outputs]
    scores = [
        score_answer(answer, accepted)
        for (_, accepted), answer in zip(WELL_KNOWN, answers, strict=True)
    ]
    return tuple(
        UnrelatedAnswer(question, answer, score.em, score.sub_em)
        for (question, _), answer, score in zip(WELL_KNOWN, answers, scores, strict=True)
    )


def _at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    with ThreadPoolExecutor(_CALLERS) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def score_gold(
    engine: Engine, prompt: Prompt, answer: str, adapter: Adapter | None = None
) -> GoldScore:
    """Return the answer's log-probability after a prompt, token by token, within its tags."""
    score = engine.score(prompt, f"{_OPEN}{answer}{_CLOSE}", adapter=adapter)
    inner = _within_tags(score.tokens)
    return GoldScore(score.tokens[inner], score.logprobs_nats[inner])


def unrelated(engine: Engine, adapter: Adapter | None = None) -> list[np.ndarray]:
    """Return the log-probabilities (nats) over the vocabulary at each token of `UNRELATED`."""
    return _at_once(
        [
            partial(engine.distributions, (Message("user", question),), reply, adapter=adapter)
            for question, reply in UNRELATED
        ]
    )


def _within_tags(tokens: Sequence[str]) -> slice:
    """Which tokens of a tagged answer hold some of the answer itself."""

    def num_within(tokens: Iterable[str], tag: str) -> int:
        ends = itertools.accumulate(len(token) for token in tokens)
        return sum(1 for _ in itertools.takewhile(lambda end: end <= len(tag), ends))

    last = len(tokens) - num_within(reversed(tokens), _CLOSE)
    return slice(num_within(tokens, _OPEN), last)


def mean_kl(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """Return the mean over all tokens of KL(before || after), in nats per token."""
    p, q = np.concatenate(before).astype(np.float64), np.concatenate(after).astype(np.float64)
    return max(0.0, float((np.exp(p) * (p - q)).sum(axis=1).mean()))


def share_same(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """Return the share in [0, 1] of tokens at which the likeliest next one is the same."""
    p, q = np.concatenate(before), np.concatenate(after)
    return float((p.argmax(axis=1) == q.argmax(axis=1)).mean())
