"""What if: run an episode again up to a step, change one thing, and go on from there.

The original is never touched. What can be changed at a step, and how it is repeated up to it, is
the system's own (`Changes`).
"""

from collections.abc import Mapping, Sequence
from typing import Self

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.probe import Probe
from pmi_kernel.core.system import Branch, Changes, System
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import Change, EndReason, Step, Trace
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.episodes.probes import Prober


class TapedEpisode:
    """An episode that can be forked at any of its steps.

    Args:
        system: Any system whose steps can be changed.
        example: The question.
        is_probed: Whether to measure around each change (without the wrong-passage control).

    Raises:
        ConfigError: Its steps cannot be changed.
    """

    def __init__(self, system: System, example: Example, *, is_probed: bool = False) -> None:
        if not isinstance(system, Changes):
            raise ConfigError(f"{system.config.system} has no steps that can be changed")
        self.system: System = system
        self.example, self.is_probed = example, is_probed
        self.forked_at: int | None = None
        """Index of the step at which this branch left its original; None in an original."""
        self.change = ""
        """What it does otherwise from there, in a few words."""
        self._start(system.branch(), num_repeated=0, kept=(), spent_s=0.0)

    def _start(
        self, branch: Branch, *, num_repeated: int, kept: Sequence[Probe], spent_s: float
    ) -> None:
        """Begin with a branch, and take the steps that it repeats, unless it is stopped."""
        self._branch = branch
        self._marks = [0]
        observer = (
            _BranchProber(self.system, self.example, num_repeated, kept, spent_s)
            if self.is_probed
            else None
        )
        self._episode = Episode(branch, self.example, observer=observer)
        while len(self.trace.steps) < num_repeated and self.step() is not None:
            pass

    @property
    def trace(self) -> Trace:
        """The steps so far."""
        return self._episode.trace

    @property
    def is_done(self) -> bool:
        """Whether the last step is there; not where it says that the episode was stopped."""
        return self._episode.is_done and not self.is_stopped

    @property
    def is_stopped(self) -> bool:
        """Whether somebody stopped it; `reopen` goes on with it."""
        return self._episode.is_done and self.trace.end_reason is EndReason.STOPPED

    def step(self) -> Step | None:
        """Take one step; see `Episode.step`."""
        step = self._episode.step()
        if step is not None:
            self._marks.append(len(self._branch.tape))
        return step

    def close(self) -> None:
        """End the episode where it is; see `Episode.close`."""
        self._episode.close()

    def reopen(self) -> None:
        """Go on with an episode that was closed or stopped before its end: repeat it.

        A change that was being measured when it was stopped is made again.

        Raises:
            EngineError: As `Episode.step`.
        """
        trace = self.trace
        steps = trace.steps[:-1] if self.is_stopped else trace.steps
        if self.is_probed and steps and steps[-1].change is Change.MADE:
            steps = steps[: len(steps) - (steps[-1].index not in {p.step for p in trace.probes})]
        self._start(
            self._branch.again(),
            num_repeated=len(steps),
            kept=trace.probes,
            spent_s=trace.probe_s or 0.0,
        )

    def fork(self, at: int, **changes: object) -> Self:
        """Return a branch that repeats the steps before `at` and goes on from there otherwise.

        The steps before `at` are taken when this returns; the original is as it was. Where a
        system runs one episode at a time, close the original first.

        Args:
            at: Index of a step of this episode.
            changes: Values by the names of the fields of `Changes.changes` at that step; none to
                repeat it as it was.

        Raises:
            ValueError: A change does not fit the step, or there is no such step.
            ConfigError: A value is none that the setting could have.
            EngineError: As `Episode.step`.
        """
        steps = self.trace.steps
        if not 0 <= at < len(steps):
            raise ValueError(f"there is no step {at} to fork at ({len(steps)} steps so far)")
        forked = self._branch.fork(self._marks[at], steps[at], changes)
        branch = object.__new__(type(self))
        branch.system, branch.example = self.system, self.example
        branch.is_probed, branch.forked_at = self.is_probed, at
        branch.change = self._said(steps[at], changes)
        kept = tuple(probe for probe in self.trace.probes if probe.step < at)
        spent_s = sum(probe.probe_s for probe in kept)
        branch._start(forked, num_repeated=at, kept=kept, spent_s=spent_s)
        return branch

    def _said(self, step: Step, changes: Mapping[str, object]) -> str:
        """The changes in a few words, for a heading."""
        assert isinstance(self.system, Changes)
        fields = self.system.changes(step)
        told = [one.said.format(changes[one.name]) for one in fields if changes.get(one.name)]
        return ", ".join(told) or "unchanged"


class _BranchProber:
    """Probes a branch; in the repeated part it gives what was measured before.

    It asks the system itself, so that its questions are not on the branch's tape.
    """

    def __init__(
        self,
        system: System,
        example: Example,
        num_repeated: int,
        kept: Sequence[Probe],
        spent_s: float,
    ) -> None:
        self._prober = Prober(system, example)
        self._spent_s = spent_s
        self._kept = {probe.step: probe for probe in kept}
        self._num_repeated = num_repeated

    @property
    def is_restored(self) -> bool | None:
        """See `Observer.is_restored`."""
        return self._prober.is_restored

    @property
    def probe_s(self) -> float:
        """See `Observer.probe_s`; what was measured before counts as well."""
        return self._spent_s + self._prober.probe_s

    def after_step(self, step: Step) -> Probe | None:
        """See `Observer.after_step`."""
        if step.change is Change.MADE and step.index < self._num_repeated:
            return self._kept.get(step.index)
        if step.change is Change.NEXT and step.index + 1 < self._num_repeated:
            return None  # the change that follows is repeated, and so is its probe
        return self._prober.after_step(step)
