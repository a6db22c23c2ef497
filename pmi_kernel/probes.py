"""Probes: what an injection did to the answer, to the gold's probability, and to everything else.

They run beside the system, hold the gold, and leave no mark: a probed episode takes the same steps
as an unprobed one.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import numpy as np

from pmi_kernel.asking import (
    UNRELATED,
    ask_well_known,
    mean_kl,
    recall,
    share_same,
    unrelated,
    write_rephrasings,
)
from pmi_kernel.engines.base import Adapter, Engine, Lessons, Message
from pmi_kernel.errors import RestoreError
from pmi_kernel.memory.lora import LoraConfig, accumulate
from pmi_kernel.retrieval import evidence_text
from pmi_kernel.types import Example, Probe, ProbeState, Step, StepKind, Task


@runtime_checkable
class Injecting(Protocol):
    """A system that writes memories, as the wrong-passage control needs it."""

    def first_lessons(self, task: Task) -> Lessons:
        """Return what the base model makes of a task's first evidence; none of an empty snippet."""
        ...

    def first_lora(self, task: Task) -> LoraConfig:
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
        is_restored: Whether those were bit-equal; None before the last step, and where it is not
            checked.
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
        if step.end_reason is not None and self._base_scores is not None:
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
        lora = self._injecting.first_lora(self._control_task)
        trained = self._engine.train(lessons, lora, adapter=before)
        weights = accumulate(before.weights if before else None, trained.weights, lora)
        adapter = self._engine.attach(weights)
        try:
            return self._state(adapter)
        finally:
            self._engine.detach(adapter)


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
    # One by one, as what shares a batch moves scores by rounding.
    return [
        engine.score((Message("user", question),), reply).logprobs_nats
        for question, reply in UNRELATED
    ]
