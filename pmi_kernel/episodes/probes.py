"""Probes: what learning did to the answer, to the gold's probability, and to everything else.

They run beside the system, hold the gold, and leave no mark: a probed episode takes the same steps
as an unprobed one.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np

from pmi_kernel.core import progress
from pmi_kernel.core.errors import ConfigError, RestoreError
from pmi_kernel.core.probe import Probe, ProbeState
from pmi_kernel.core.progress import Phase, Within
from pmi_kernel.core.system import Asks, Misleads, System
from pmi_kernel.core.task import Example, Task
from pmi_kernel.core.trace import Change, Step
from pmi_kernel.episodes.asking import (
    UNRELATED,
    WELL_KNOWN,
    ask_well_known,
    mean_kl,
    read_unrelated,
    recall,
    share_same,
)
from pmi_kernel.retrieval import evidence_text


class Prober:
    """Observes one episode and measures around each change of what is learned.

    Args:
        system: The episode's system, not a branch of it: what is asked is no part of an episode.
        example: The episode's question with its gold.
        control: The other question; no control where None, or where the system has none.
        is_restore_checked: Whether base scores are taken at the first step and at the last.

    Attributes:
        is_restored: Whether those were bit-equal; None before the last step, and where it is not
            checked.
        probe_s: Seconds of all its measuring so far.

    Raises:
        ConfigError: The system cannot be asked.
    """

    def __init__(
        self,
        system: System,
        example: Example,
        *,
        control: Task | None = None,
        is_restore_checked: bool = True,
    ) -> None:
        self.is_restored: bool | None = None
        self.probe_s = 0.0
        self._system = asked(system)
        self._misleads = system if isinstance(system, Misleads) else None
        self._example = example
        self._control_task = control
        self._is_restore_checked = is_restore_checked
        self._evidence = ""
        self._rephrasings: tuple[str, ...] | None = None
        self._base_scores: list[tuple[float, ...]] | None = None
        self._before: ProbeState | None = None
        self._control: ProbeState | None = None
        self._reference: list[np.ndarray] | None = None
        self._spent_s = 0.0

    def after_step(self, step: Step) -> Probe | None:
        """Look at the step; return the probe of a change at the step that made it.

        At the first step the base weights write the rephrasings, at the step before a change its
        state before is taken, and at the change the state after it. At the last step the memory is
        out.
        """
        start, found = time.perf_counter(), None
        try:
            if step.passages:
                self._evidence = evidence_text(step.passages)
            if self._rephrasings is None and step.end_reason is None:
                self._begin()
            if step.change is Change.NEXT:
                self._look_before(step)
            elif step.change is Change.MADE:
                found = self._probe(step)
            if step.end_reason is not None and self._base_scores is not None:
                self.is_restored = read_unrelated(self._system) == self._base_scores
        finally:
            spent_s = time.perf_counter() - start
            self._spent_s += spent_s
            self.probe_s += spent_s
        if found is not None:
            spent_s, self._spent_s = self._spent_s, 0.0
            return Probe(**found, step=step.index, probe_s=spent_s)  # type: ignore[arg-type]
        return None

    def _begin(self) -> None:
        """Take what only the base weights can give; no memory is in force yet."""
        with progress.within(Phase.MEASURING_BEFORE):
            self._rephrasings = self._system.reword(self._example.task.question)
            if self._is_restore_checked:
                self._base_scores = read_unrelated(self._system)

    def _look_before(self, step: Step) -> None:
        """Take the state before a change, and that after the wrong passage in its place."""
        with self._measuring(Phase.MEASURING_BEFORE, len(UNRELATED)) as part:
            self._before = self._state(step.state, part)
            self._reference = self._system.next_tokens(UNRELATED, step.state)
        self._control = self._wrong_passage(step.state)

    def _probe(self, step: Step) -> dict[str, object]:
        assert self._before is not None
        before, reference = self._before, self._reference
        num_read = len(UNRELATED) if reference is not None else 0
        with self._measuring(Phase.MEASURING_AFTER, num_read) as part:
            after = self._state(step.state, part)
            tokens = self._system.next_tokens(UNRELATED, step.state) if num_read else None
        other = self._control_task
        return {
            "before": before,
            "after": after,
            "control": self._control,
            "control_episode_id": other.id if self._control and other else None,
            "drift_kl_nats": mean_kl(reference, tokens) if reference and tokens else None,
            "same_tokens": share_same(reference, tokens) if reference and tokens else None,
        }

    def _measuring(self, phase: Phase, num_read: int = 0) -> AbstractContextManager[Within]:
        """The phase in which a state is taken: its questions, and what is read beside them."""
        num_asked = 2 + len(self._rephrasings or ()) + len(WELL_KNOWN)
        return progress.within(phase, num_asked + num_read)

    def _state(self, state: object, part: Within) -> ProbeState:
        system, gold = self._system, self._example.gold.answers[0]
        question, rephrasings = self._example.task.question, self._rephrasings or ()
        # Apart, or the short prompts would be padded to the length of the one with evidence.
        (with_evidence,) = recall(system, [question], gold, state, evidence=self._evidence)
        part.advance()
        alone, *rephrased = recall(system, [question, *rephrasings], gold, state)
        part.advance(1 + len(rephrased))
        unrelated = ask_well_known(system, state)
        part.advance(len(unrelated))
        return ProbeState(
            answer=with_evidence.answer,
            answer_no_evidence=alone.answer,
            gold=with_evidence.gold,
            gold_no_evidence=alone.gold,
            rephrased=tuple(rephrased),
            unrelated=unrelated,
        )

    def _wrong_passage(self, before: object) -> ProbeState | None:
        if self._misleads is None or self._control_task is None:
            return None
        with (
            self._measuring(Phase.MEASURING_WRONG) as part,
            self._misleads.mislearned(self._control_task, before) as wrong,
        ):
            return None if wrong is None else self._state(wrong, part)


def asked(system: System) -> Asks:
    """Return the system as one that can be asked.

    Raises:
        ConfigError: It cannot.
    """
    if not isinstance(system, Asks):
        raise ConfigError(
            f"{system.config.system} cannot be asked outside an episode, so it can neither be "
            "probed nor its restoring be checked"
        )
    return system


def check_controls(system: System, *, is_asked: bool, is_misled: bool) -> None:
    """Refuse what a system cannot, before its first episode.

    Args:
        system: The system.
        is_asked: Whether it is to be probed, or its restoring checked.
        is_misled: Whether it is to learn another task's passages.

    Raises:
        ConfigError: It cannot.
    """
    if is_asked:
        asked(system)
    if is_misled and not isinstance(system, Misleads):
        raise ConfigError(
            f"wrong_passage is a control that {system.config.system} does not have: it cannot "
            "learn another question's passages"
        )


@contextmanager
def verified_restore(system: System) -> Iterator[None]:
    """Check that base scores after the context are bit-equal to those before it.

    Raises:
        RestoreError: They differ.
        ConfigError: The system cannot be asked.
    """
    before = read_unrelated(asked(system))
    yield
    if read_unrelated(asked(system)) != before:
        raise RestoreError(
            "scores under the base weights changed over the episode: what was injected is still "
            "there, so the run was stopped"
        )
