"""One driver for everything: the notebook steps an `Episode`, the batch runs it."""

from dataclasses import replace
from typing import Protocol, Self

from pmi_kernel.core import progress
from pmi_kernel.core.probe import Probe
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.scoring import score
from pmi_kernel.core.system import System
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import UNKNOWN, EndReason, Step, StepKind, Trace
from pmi_kernel.episodes.card import ReportCard, report_cards


class Observer(Protocol):
    """Looks at a running episode from outside: probes, restore checks."""

    @property
    def is_restored(self) -> bool | None:
        """What `Trace.is_restored` is to say."""
        ...

    @property
    def probe_s(self) -> float | None:
        """What `Trace.probe_s` is to say."""
        ...

    def after_step(self, step: Step) -> Probe | None:
        """Called when a step is there and the generator is paused at it."""
        ...


class Episode:
    """One question under one system, a step at a time or to its end.

    Args:
        system: Any system.
        example: The question, with the gold that the system does not see.
        observer: Called at every step, e.g. a `Prober`.
    """

    def __init__(
        self, system: System, example: Example, *, observer: Observer | None = None
    ) -> None:
        self.system = system
        self.example = example
        self._observer = observer
        self._steps: list[Step] = []
        self._probes: list[Probe] = []
        self._generator = system.steps(example.task)

    @property
    def is_done(self) -> bool:
        """Whether the last step is there."""
        return bool(self._steps) and self._steps[-1].end_reason is not None

    @property
    def trace(self) -> Trace:
        """The steps so far."""
        return Trace(
            task=self.example.task,
            system=self.system.config.system,
            fingerprint=self.system.config.fingerprint(),
            steps=tuple(self._steps),
            probes=tuple(self._probes),
            is_restored=self._observer.is_restored if self._observer else None,
            probe_s=self._observer.probe_s if self._observer else None,
        )

    @property
    def cards(self) -> tuple[ReportCard, ...]:
        """The report card of each probed injection so far."""
        return report_cards(self.trace, self.example.gold)

    def step(self) -> Step | None:
        """Take one step and return it; None when the episode is done.

        Where a stop is asked for meanwhile (see `core.progress`), the memory is taken out, what was
        under way is dropped, and the step that is returned says that the episode was stopped.

        Raises:
            EngineError: The engine failed; the episode is closed and its memory taken out.
            ValueError: The episode was closed before its end.
        """
        if self.is_done:
            return None
        try:
            progress.check()
            step = next(self._generator, None)
            if step is None:
                raise ValueError(f"episode {self.example.task.id!r} was closed before its end")
            step = self._keep(step)
            probe = self._observer.after_step(step) if self._observer else None
        except progress.Stopped:
            self.close()
            if self.is_done:  # only what is measured at its end was stopped
                return self._steps[-1]
            return self._keep(Step(StepKind.ANSWER, UNKNOWN, end_reason=EndReason.STOPPED))
        except BaseException:
            self.close()
            raise
        if probe is not None:
            self._probes.append(probe)
        if self.is_done:
            self.close()
        return step

    def _keep(self, step: Step) -> Step:
        step = replace(step, index=len(self._steps))
        self._steps.append(step)
        return step

    def run(self) -> Trace:
        """Take every step that is left and return the trace; it may say that it was stopped."""
        while self.step() is not None:
            pass
        return self.trace

    def close(self) -> None:
        """End the episode where it is; the engine's weights are as they were before it."""
        self._generator.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def evaluate(example: Example, trace: Trace) -> EvalResult:
    """Return the scored outcome of a complete trace.

    Raises:
        ValueError: The trace has no end yet.
    """
    costs: dict[str, float] = {}
    for step in trace.steps:
        for name, value in step.measures.items():
            costs[name] = costs.get(name, 0) + value
    kinds = [step.kind for step in trace.steps]
    context, titles = example.task.context, example.gold.passages
    gold_at = (at for at, paragraph in enumerate(context) if paragraph.title in titles)
    return EvalResult(
        episode_id=example.task.id,
        prediction=trace.prediction,
        answers=example.gold.answers,
        scores=score(trace.prediction, example),
        end_reason=trace.end_reason,
        type=example.type,
        level=example.level,
        num_steps=len(trace.steps),
        num_searches=kinds.count(StepKind.SEARCH),
        num_injections=kinds.count(StepKind.INJECT),
        costs=costs,
        known=example.gold.known,
        metric=example.metric,
        supporting_facts=example.gold.supporting_facts,
        gold_position=next(gold_at, None),
        num_documents=len(context),
    )
