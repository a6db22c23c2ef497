"""What if: run an episode again up to a step, change one thing, and go on from there.

A taped episode keeps what its engine answered. A branch is the same system on an engine that first
plays the tape, so its steps before the change are those of the original, at no cost; from the
change on the real engine answers. The original is never touched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from pmi_kernel.config import SystemConfig
from pmi_kernel.engines.base import (
    Adapter,
    Engine,
    Finish,
    Generation,
    Lessons,
    Prompt,
    Sampling,
    Training,
)
from pmi_kernel.engines.proxy import EngineProxy
from pmi_kernel.episode import Episode
from pmi_kernel.memory.lora import LoraConfig, LoraWeights
from pmi_kernel.probes import Prober
from pmi_kernel.types import Example, Probe, Step, StepKind, Trace

Answer = TypeVar("Answer", Generation, Training)
Tape = Sequence[Generation | Training]


@dataclass(frozen=True, slots=True)
class Change:
    """What a branch does otherwise; an unset field leaves things as they were.

    Attributes:
        query: The query of the search at the fork.
        snippet: The snippet of the compression at the fork.
        lessons: Trained on instead of the episode's own at the next injection, e.g. another
            question's (the wrong-passage control).
        is_injected: Whether injections from the fork on have any effect.
        mem_steps: Optimiser steps of the injections from the fork on.
        mem_lr: Their learning rate.
    """

    query: str | None = None
    snippet: str | None = None
    lessons: Lessons | None = None
    is_injected: bool = True
    mem_steps: int | None = None
    mem_lr: float | None = None

    def __str__(self) -> str:
        """Return the change in a few words, for a heading."""
        parts = []
        if self.query is not None:
            parts.append(f"query “{self.query}”")
        if self.snippet is not None:
            parts.append("edited snippet")
        if self.lessons is not None:
            parts.append("wrong passage injected")
        if not self.is_injected:
            parts.append("no injection")
        if self.mem_steps is not None:
            parts.append(f"mem_steps {self.mem_steps}")
        if self.mem_lr is not None:
            parts.append(f"mem_lr {self.mem_lr:g}")
        return ", ".join(parts) or "unchanged"


class TapedEpisode:
    """An episode that can be forked at any of its steps.

    Args:
        config: Settings of the system.
        engine: What it serves with.
        example: The question.
        is_probed: Whether to measure around each injection (without the wrong-passage control).
    """

    def __init__(
        self, config: SystemConfig, engine: Engine, example: Example, *, is_probed: bool = False
    ) -> None:
        self.config, self.engine, self.example = config, engine, example
        self.is_probed = is_probed
        self.forked_at: int | None = None
        """Index of the step at which this branch left its original; None in an original."""
        self.change = Change()
        """What it does otherwise from there."""
        self._start((), self.change, num_repeated=0, kept=())

    def _start(
        self, tape: Tape, change: Change, *, num_repeated: int, kept: Sequence[Probe]
    ) -> None:
        """Begin with the answers on the tape and take the steps that they are known to give."""
        self._taped = _TapedEngine(self.engine, tape, change)
        self._marks = [0]
        observer = (
            _BranchProber(self.engine, self.example, num_repeated, kept) if self.is_probed else None
        )
        self._episode = Episode(self.config.build(self._taped), self.example, observer=observer)
        while len(self.trace.steps) < num_repeated:
            self.step()

    @property
    def trace(self) -> Trace:
        """The steps so far."""
        return self._episode.trace

    @property
    def is_done(self) -> bool:
        """Whether the last step is there."""
        return self._episode.is_done

    def step(self) -> Step | None:
        """Take one step; see `Episode.step`."""
        step = self._episode.step()
        if step is not None:
            self._marks.append(len(self._taped.tape))
        return step

    def close(self) -> None:
        """End the episode where it is; see `Episode.close`."""
        self._episode.close()

    def reopen(self) -> None:
        """Go on with an episode that was closed before its end: repeat it from its tape.

        Raises:
            EngineError: As `Episode.step`.
        """
        trace, tape = self.trace, self._taped.tape
        change = self.change
        if any(isinstance(answer, Training) for answer in tape[self._marks[self.forked_at or 0] :]):
            change = replace(change, lessons=None)  # it was for one injection
        self._start(tape, change, num_repeated=len(trace.steps), kept=trace.probes)

    def fork(self, at: int, change: Change) -> Self:
        """Return a branch that repeats the steps before `at` and goes on from there with `change`.

        The steps before `at` are taken when this returns; the original is as it was. On an engine
        that holds one memory at a time, close the original first.

        Args:
            at: Index of a step of this episode.
            change: What is different. A query can change at a search, a snippet at a compression.

        Raises:
            ValueError: The change does not fit the step, or there is no such step.
            ConfigError: A value is none that the setting could have.
            EngineError: As `Episode.step`.
        """
        steps = self.trace.steps
        if not 0 <= at < len(steps):
            raise ValueError(f"there is no step {at} to fork at ({len(steps)} steps so far)")
        config, tape = self.config, list(self._taped.tape[: self._marks[at]])
        training = {"mem_steps": change.mem_steps, "mem_lr": change.mem_lr}
        config.but(**{name: value for name, value in training.items() if value is not None})
        if change.query is not None:
            if steps[at].kind is not StepKind.SEARCH:
                raise ValueError("a query can be changed at a search only")
            if not change.query.strip():
                raise ValueError("the query is empty")
            if steps[at].raw:
                tape.append(_said(f"<search>{change.query}</search>"))
            else:
                config = config.but(first_query=change.query)
        if change.snippet is not None:
            if steps[at].kind is not StepKind.COMPRESS:
                raise ValueError("a snippet can be changed at a compression only")
            tape.append(_said(change.snippet))
        branch = object.__new__(type(self))
        branch.config, branch.engine, branch.example = config, self.engine, self.example
        branch.is_probed, branch.forked_at, branch.change = self.is_probed, at, change
        kept = tuple(probe for probe in self.trace.probes if probe.step < at)
        branch._start(tape, change, num_repeated=at, kept=kept)
        return branch


class _BranchProber:
    """Probes a taped episode; in the repeated part it gives what was measured before.

    It asks the real engine, so that its questions are not on the tape.
    """

    def __init__(
        self, engine: Engine, example: Example, num_repeated: int, kept: Sequence[Probe]
    ) -> None:
        self._prober = Prober(engine, example)
        self._kept = {probe.step: probe for probe in kept}
        self._num_repeated = num_repeated

    @property
    def is_restored(self) -> bool | None:
        """See `Observer.is_restored`."""
        return self._prober.is_restored

    def after_step(self, step: Step) -> Probe | None:
        """See `Observer.after_step`."""
        if step.kind is StepKind.INJECT and step.index < self._num_repeated:
            return self._kept.get(step.index)
        if step.kind is StepKind.COMPRESS and step.index + 1 < self._num_repeated:
            return None  # the injection that follows is repeated, and so is its probe
        return self._prober.after_step(step)


class _TapedEngine(EngineProxy):
    """An engine that keeps its answers, and may begin by playing those of another."""

    def __init__(self, engine: Engine, tape: Tape, change: Change) -> None:
        super().__init__(engine)
        self.tape: list[Generation | Training] = []
        self._ahead = list(tape)
        self._change = change
        self._lessons = change.lessons

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        """See `Engine.generate`."""
        return self._next(
            Generation, lambda: self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        )

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        """See `Engine.train`."""
        return self._next(Training, lambda: self._train(lessons, lora, adapter))

    def _train(self, lessons: Lessons, lora: LoraConfig, adapter: Adapter | None) -> Training:
        change = self._change
        lessons, self._lessons = self._lessons or lessons, None
        lora = replace(lora, steps=change.mem_steps or lora.steps, lr=change.mem_lr or lora.lr)
        if change.is_injected:
            return self.engine.train(lessons, lora, adapter=adapter)
        return Training((), LoraWeights({}, {}, lora.rank, lora.alpha), (), 0, 0.0)

    def _next(self, kind: type[Answer], ask: Callable[[], Answer]) -> Answer:
        if self._ahead:
            answer = self._ahead.pop(0)
            assert isinstance(answer, kind), "the branch left the tape's path"
        else:
            answer = ask()
        self.tape.append(answer)
        return answer


def _said(text: str) -> Generation:
    """What a person put in the model's place; it cost nothing."""
    return Generation(text, (), (), Finish.STOP, 0, 0.0)
