"""Probes: what an injection did to the answer, to the gold's probability, and to everything else.

They run beside the system, hold the gold, and leave no mark: a probed episode takes the same steps
as an unprobed one. Comparisons are teacher-forced on the same tokens before and after. The
questions of one state are asked at once, so that engines can batch them; what shares a batch moves
scores by rounding, so base scores that must be bit-equal are taken one by one.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from pmi_kernel.actions import ACTION_STOPS
from pmi_kernel.engines.base import Adapter, Engine, Lessons, Message, Prompt, Sampling
from pmi_kernel.errors import RestoreError
from pmi_kernel.memory.lora import LoraRecipe, accumulate
from pmi_kernel.metrics import normalize_answer, score_answer
from pmi_kernel.prompts import MAX_SHOTS, answer_prompt, reword_prompt, short_answer
from pmi_kernel.retrieval import evidence_text
from pmi_kernel.types import (
    Example,
    GoldScore,
    Probe,
    ProbeState,
    Recall,
    Step,
    StepKind,
    Task,
    UnrelatedAnswer,
)

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


@runtime_checkable
class Injecting(Protocol):
    """A system that writes memories, as the wrong-passage control needs it."""

    def first_lessons(self, task: Task) -> Lessons:
        """Return what the base model makes of a task's first evidence; none of an empty snippet."""
        ...

    def first_recipe(self, task: Task) -> LoraRecipe:
        """Return how the memory of those lessons is trained."""
        ...


class Prober:
    """Observes one episode and measures around each of its injections.

    Args:
        engine: The engine that the episode runs on.
        example: The episode's question with its gold.
        system: Gives the control snippet; no control where it does not inject.
        control: The other question; no control where None.
        is_restore_checked: Whether base scores are taken at the first search and at the last step.

    Attributes:
        is_restored: Whether those were bit-equal; None before the last step, and where nothing was
            injected or it is not checked.
    """

    def __init__(
        self,
        engine: Engine,
        example: Example,
        *,
        system: object = None,
        control: Task | None = None,
        is_restore_checked: bool = True,
    ) -> None:
        self.is_restored: bool | None = None
        self._engine = engine
        self._example = example
        self._injecting = system if isinstance(system, Injecting) else None
        self._control_task = control
        self._is_restore_checked = is_restore_checked
        self._evidence = ""
        self._rephrasings: tuple[str, ...] | None = None
        self._base_scores: list[tuple[float, ...]] | None = None
        self._has_injected = False
        self._before: ProbeState | None = None
        self._control: ProbeState | None = None
        self._reference: list[np.ndarray] = []
        self._spent_s = 0.0

    def after_step(self, step: Step) -> Probe | None:
        """Look at the step; return the probe of an injection at its INJECT step.

        At the first search the base weights write the rephrasings, at COMPRESS the state before the
        injection is taken, at INJECT the state after it. At the last step the memory is out.
        """
        start = time.perf_counter()
        assert step.adapter is None or isinstance(step.adapter, Adapter)
        if step.kind is StepKind.SEARCH:
            self._evidence = evidence_text(step.passages)
            if self._rephrasings is None:
                self._begin()
                self._spent_s = time.perf_counter() - start
        elif step.kind is StepKind.COMPRESS and step.text:
            self._before = self._state(step.adapter)
            self._reference = unrelated(self._engine, step.adapter)
            self._control = self._wrong_passage(step.adapter)
            self._spent_s += time.perf_counter() - start
        elif step.kind is StepKind.INJECT:
            assert self._before is not None
            self._has_injected = True
            after = self._state(step.adapter)
            distributions = unrelated(self._engine, step.adapter)
            spent_s, self._spent_s = self._spent_s, 0.0
            return Probe(
                step=step.index,
                before=self._before,
                after=after,
                control=self._control,
                control_episode_id=self._control_task.id
                if self._control and self._control_task
                else None,
                drift_kl_nats=mean_kl(self._reference, distributions),
                probe_s=spent_s + time.perf_counter() - start,
                same_tokens=share_same(self._reference, distributions),
            )
        if step.end_reason is not None and self._has_injected and self._base_scores is not None:
            self.is_restored = _base_scores(self._engine) == self._base_scores
        return None

    def _begin(self) -> None:
        """Take what only the base weights can give; no memory is in force yet."""
        self._rephrasings = write_rephrasings(self._engine, self._example.task.question)
        if self._is_restore_checked:
            self._base_scores = _base_scores(self._engine)

    def _state(self, adapter: Adapter | None) -> ProbeState:
        engine, gold = self._engine, self._example.gold.answers[0]
        question, rephrasings = self._example.task.question, self._rephrasings or ()
        # Apart, or the short prompts would be padded to the length of the one with evidence.
        (with_evidence,) = recall(engine, [question], gold, adapter, evidence=self._evidence)
        alone, *rephrased = recall(engine, [question, *rephrasings], gold, adapter)
        return ProbeState(
            answer=with_evidence.answer,
            answer_no_evidence=alone.answer,
            gold=with_evidence.gold,
            gold_no_evidence=alone.gold,
            rephrased=tuple(rephrased),
            unrelated=ask_well_known(engine, adapter),
        )

    def _wrong_passage(self, before: Adapter | None) -> ProbeState | None:
        if self._injecting is None or self._control_task is None:
            return None
        if self._engine.is_exclusive and before is not None:
            return None
        lessons = self._injecting.first_lessons(self._control_task)
        if not lessons:
            return None
        recipe = self._injecting.first_recipe(self._control_task)
        trained = self._engine.train(lessons, recipe, adapter=before)
        weights = accumulate(before.weights if before else None, trained.weights, recipe)
        adapter = self._engine.attach(weights)
        try:
            return self._state(adapter)
        finally:
            self._engine.detach(adapter)


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
    return tuple(
        UnrelatedAnswer(question, answer, score_answer(answer, accepted).em)
        for (question, accepted), answer in zip(WELL_KNOWN, answers, strict=True)
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


@contextmanager
def verified_restore(engine: Engine) -> Iterator[None]:
    """Check that base scores after the context are bit-equal to those before it.

    Raises:
        RestoreError: They differ.
    """
    before = _base_scores(engine)
    yield
    if _base_scores(engine) != before:
        raise RestoreError(
            "scores under the base weights changed over the episode: what was injected is still "
            "there, so the run was stopped"
        )


def _base_scores(engine: Engine) -> list[tuple[float, ...]]:
    return [
        engine.score((Message("user", question),), reply).logprobs_nats
        for question, reply in UNRELATED
    ]
