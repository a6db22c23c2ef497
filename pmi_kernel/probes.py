"""Probes: what an injection did to the answer, to the gold's probability, and to everything else.

They run beside the system, hold the gold, and leave no mark: a probed episode takes the same steps
as an unprobed one. Comparisons are teacher-forced on the same tokens before and after.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import numpy as np

from pmi_kernel.actions import ACTION_STOPS
from pmi_kernel.engines.base import Adapter, Engine, Lessons, Message, Prompt, Sampling
from pmi_kernel.errors import RestoreError
from pmi_kernel.memory.lora import LoraRecipe, accumulate
from pmi_kernel.prompts import MAX_SHOTS, answer_prompt, short_answer
from pmi_kernel.retrieval import evidence_text
from pmi_kernel.types import Example, GoldScore, Probe, ProbeState, Step, StepKind, Task

_OPEN, _CLOSE = "<answer>", "</answer>"

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
    """

    def __init__(
        self,
        engine: Engine,
        example: Example,
        *,
        system: object = None,
        control: Task | None = None,
    ) -> None:
        self._engine = engine
        self._example = example
        self._injecting = system if isinstance(system, Injecting) else None
        self._control_task = control
        self._evidence = ""
        self._before: ProbeState | None = None
        self._control: ProbeState | None = None
        self._reference: list[np.ndarray] = []
        self._spent_s = 0.0

    def after_step(self, step: Step) -> Probe | None:
        """Take the state before an injection at its COMPRESS step; return the probe at INJECT."""
        start = time.perf_counter()
        assert step.adapter is None or isinstance(step.adapter, Adapter)
        if step.kind is StepKind.SEARCH:
            self._evidence = evidence_text(step.passages)
        elif step.kind is StepKind.COMPRESS and step.text:
            self._before = self._state(step.adapter)
            self._reference = unrelated(self._engine, step.adapter)
            self._control = self._wrong_passage(step.adapter)
            self._spent_s = time.perf_counter() - start
        elif step.kind is StepKind.INJECT:
            assert self._before is not None
            after = self._state(step.adapter)
            drift = mean_kl(self._reference, unrelated(self._engine, step.adapter))
            return Probe(
                step=step.index,
                before=self._before,
                after=after,
                control=self._control,
                control_episode_id=self._control_task.id
                if self._control and self._control_task
                else None,
                drift_kl_nats=drift,
                probe_s=self._spent_s + time.perf_counter() - start,
            )
        return None

    def _state(self, adapter: Adapter | None) -> ProbeState:
        question, gold = self._example.task.question, self._example.gold.answers[0]
        answers, scores = [], []
        for evidence in (self._evidence, None):
            prompt = answer_prompt(question, evidence, shots=MAX_SHOTS)
            sampling = Sampling(max_tokens=32, stop=ACTION_STOPS)
            output = self._engine.generate(prompt, adapter=adapter, sampling=sampling)
            answers.append(short_answer(output.text))
            scores.append(score_gold(self._engine, prompt, gold, adapter))
        return ProbeState(answers[0], answers[1], scores[0], scores[1])

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


def score_gold(
    engine: Engine, prompt: Prompt, answer: str, adapter: Adapter | None = None
) -> GoldScore:
    """Return the answer's log-probability after a prompt, token by token, within its tags."""
    score = engine.score(prompt, f"{_OPEN}{answer}{_CLOSE}", adapter=adapter)
    inner = _within_tags(score.tokens)
    return GoldScore(score.tokens[inner], score.logprobs_nats[inner])


def unrelated(engine: Engine, adapter: Adapter | None = None) -> list[np.ndarray]:
    """Return the log-probabilities (nats) over the vocabulary at each token of `UNRELATED`."""
    return [
        engine.distributions((Message("user", question),), reply, adapter=adapter)
        for question, reply in UNRELATED
    ]


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
