"""A run's supervisor: hands out episodes, restarts what dies, loses nothing.

Workers hold no state that matters: what is committed is in their files, the rest is owed. So the
parent may hand an episode out again whenever it is in doubt, and may itself be killed at any time.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, TypedDict, Unpack

from pmi_kernel.core.errors import ConfigError, DataError, EngineError, RestoreError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.progress import Stopped
from pmi_kernel.core.records import decode
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.system import System
from pmi_kernel.jobs.owner import Owned, owned
from pmi_kernel.jobs.status import State, Status
from pmi_kernel.runs.devices import slots
from pmi_kernel.runs.launchers import Launcher
from pmi_kernel.runs.member import Member
from pmi_kernel.runs.merge import ERRORS
from pmi_kernel.runs.run import Run, RunOutcome
from pmi_kernel.runs.settings import RunSettings
from pmi_kernel.runs.worker import note_error

_MOST_ATTEMPTS = 2
"""How often an episode is tried before it is left pending."""
_ERRORS_IN_A_ROW = 3
"""After so many engine errors in a row a worker is started anew."""
_MOST_FRUITLESS = 3
"""After so many starts of one worker without an episode finished, the run ends,"""
_MOST_DEATHS = 10
"""or after so many where an episode can be blamed for each death."""
_STATUS_S = 0.5
_GRACE_S = 60.0
SILENCE_S = 60.0
"""A worker that is ready, or that a signal holds, and says nothing for so long is started anew."""
_LOADING_SILENCE_S = 1800.0
"""The same while it loads: libraries hold the interpreter as long as a slow disk takes."""


class Supervisor:
    """Runs a run's pending episodes on workers.

    Args:
        settings: Data, run directory, workers, concurrency.
        config: The system's settings.
        on_start: Called once with the numbers of episodes done and to be run now.
        on_result: Called after each finished episode.
        say: Told of anything unusual, a line at a time.
        lock: Where the run directory is held already, what `take_lock` gave.
        above: What this run is part of: who cancels that, cancels this.
        launcher: Starts the workers, of a run; by default what the settings name.
        silence_s: After so long without a word a worker is started anew.
    """

    def __init__(
        self,
        settings: RunSettings,
        config: SystemConfig,
        *,
        on_start: Callable[[int, int], object] = lambda done, pending: None,
        on_result: Callable[[EvalResult], object] = lambda result: None,
        say: Callable[[str], object] = lambda text: None,
        lock: int | None = None,
        above: Owned | None = None,
        launcher: Callable[[Run], Launcher] | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._settings, self._config, self._out = settings, config, settings.out
        self._on_start, self._on_result, self._say = on_start, on_result, say
        self._lock, self._above, self._silence_s = lock, above, silence_s
        self._open_launcher = launcher or _launcher
        self._run: Run | None = None
        self._members: list[Member] = []
        self._attempts: Counter[str] = Counter()
        self._waiting: deque[str] = deque()
        self._suspects: set[str] = set()
        self._num_run = self._num_given_up = self._num_asked = 0
        self._status_due_s = 0.0
        self._is_cancelled = False
        self._is_begun = False
        self._ready_s = 0.0

    def run(self) -> RunOutcome:
        """Run until nothing is owed, or until cancelled or interrupted; what is done is kept.

        Raises:
            DataError: The data cannot be read.
            ConfigError: The directory cannot be written to, holds a run with another
                configuration, or has another owner; or the engine cannot be built.
            EngineError: A worker died again and again without finishing an episode.
            RestoreError: `verify_restore` found the base weights changed.
        """
        with plainly(self._out), owned(self._out, self._say, self._lock) as self._job:
            summary: dict[str, Any] = {}
            state, failure = State.FAILED, None
            try:
                state = self._work()
            except (KeyboardInterrupt, Stopped):
                state, self._is_cancelled = State.INTERRUPTED, True
            except Exception as error:
                failure = error
            finally:
                self._end_all()
            if self._is_cancelled and self._is_begun and not (self._waiting or failure):
                state = State.DONE  # it was stopped with nothing left to do
            try:
                if self._run is not None:
                    with plainly(self._out):
                        summary = self._run.finish(self._num_given_up)
            except Exception as error:
                if failure is not None:
                    self._say(f"{self._out}: and it was not merged: {error}")
                failure = failure or error
            if failure is not None:
                state = State.FAILED
            self._write_status(state, str(failure or ""))
            if failure is not None:
                raise failure
            return RunOutcome(summary, self._num_run, self._is_cancelled)

    # -- the loop -----------------------------------------------------------------------------

    def _work(self) -> State:
        self._run = run = Run(self._settings, self._config, self._say)
        self._waiting.extend(run.pending)
        self._num_asked = run.num_done + len(run.pending)
        self._on_start(run.num_done, len(self._waiting))
        if not self._waiting:
            if not run.is_recorded:
                run.begin(_no_engine())
            return State.DONE
        self._launcher = self._open_launcher(run)
        wanted = slots(self._settings.workers, getattr(self._config, "device", "cpu"))
        self._members.extend(Member(slot) for slot in wanted[: max(1, len(self._waiting))])
        while self._waiting or any(member.in_flight for member in self._members):
            self._look_for_cancel()
            if self._is_cancelled and not any(member.in_flight for member in self._members):
                return State.CANCELLED
            for member in self._members:
                self._attend(member)
            self._launcher.wait([m.handle for m in self._members if m.handle is not None], 0.2)
            if time.monotonic() >= self._status_due_s:
                self._write_status(
                    State.CANCELLING if self._is_cancelled else State.RUNNING, error=""
                )
        self._leave()
        return State.CANCELLED if self._is_cancelled else State.DONE

    def _attend(self, member: Member) -> None:
        """Hear a worker, start it where it is not there, and keep it busy."""
        if member.handle is None:
            if self._waiting and not self._is_cancelled:
                member.handle = self._launcher.start(member.slot)
                member.heard_s = time.monotonic()
            return
        messages = member.handle.receive()
        for message in messages or ():
            member.heard_s = time.monotonic()
            self._hear(member, *message)
        if messages is None:
            self._drop(member, "died")
        elif member.errors_in_a_row >= _ERRORS_IN_A_ROW:
            if not self._launcher.can_restart:
                raise EngineError(
                    f"{_ERRORS_IN_A_ROW} episodes in a row failed; the last: {member.last_error}; "
                    f"see {self._out}/{ERRORS}.{member.slot.name}.jsonl"
                )
            self._drop(member, "failed three times in a row")
        elif silence_s := self._is_silent(member):
            self._drop(member, f"gave no sign of life for {silence_s:.0f} s")
        else:
            self._feed(member)

    def _is_silent(self, member: Member) -> float:
        """For how many seconds a worker was silent, where that is too long; else 0."""
        silence_s = time.monotonic() - member.heard_s
        assert member.handle is not None
        if silence_s > self._silence_s and (
            member.is_ready or silence_s > _LOADING_SILENCE_S or member.handle.is_stopped()
        ):
            return silence_s
        return 0.0

    def _feed(self, member: Member) -> None:
        """Keep a worker busy, with one episode more than it runs at once."""
        if member.handle is None or not member.is_ready or self._is_cancelled:
            return
        while self._waiting and len(member.in_flight) <= self._settings.concurrency:
            if member.in_flight & self._suspects:
                return
            if self._waiting[0] in self._suspects and member.in_flight:
                return  # it runs alone, so that a death can be told to be its own
            episode_id = self._waiting.popleft()
            member.in_flight.add(episode_id)
            member.handle.send("run", episode_id)

    def _hear(self, member: Member, kind: str, *rest: Any) -> None:
        if kind == "ready":
            if not self._is_begun:
                assert self._run is not None
                self._run.begin(rest[0])
                self._is_begun = True
                self._ready_s = time.monotonic()
            member.is_ready = True
        elif kind == "beat":
            member.facts = rest[0]
        elif kind == "begun":
            member.begun.add(rest[0])
        elif kind == "done":
            episode_id, line = rest
            member.in_flight.discard(episode_id)
            member.begun.discard(episode_id)
            self._suspects.discard(episode_id)
            member.num_done += 1
            member.errors_in_a_row = member.num_fruitless = member.num_deaths = 0
            self._num_run += 1
            self._on_result(decode(EvalResult, line))
        elif kind == "failed":
            episode_id, member.last_error = rest
            member.in_flight.discard(episode_id)
            member.begun.discard(episode_id)
            member.num_failed += 1
            member.errors_in_a_row += 1
            self._try_again(episode_id, member.last_error)
        else:
            name, text = rest
            kinds = {c.__name__: c for c in (ConfigError, DataError, EngineError, RestoreError)}
            raise kinds.get(name, EngineError)(f"worker {member.slot.name}: {text}")

    def _try_again(self, episode_id: str, error: str) -> None:
        """Put an episode at the end of the queue once more, or leave it pending."""
        self._attempts[episode_id] += 1
        num_attempts = self._attempts[episode_id]
        if self._launcher.can_restart and num_attempts < _MOST_ATTEMPTS:
            self._waiting.append(episode_id)
        else:
            self._num_given_up += 1
            times = "once" if num_attempts == 1 else f"{num_attempts} times"
            self._say(f"{episode_id} failed {times} and stays pending: {error}")

    def _drop(self, member: Member, why: str) -> None:
        """End a worker, to be started anew; what it had in hand is owed again."""
        in_flight, begun = set(member.in_flight), set(member.begun)
        member.end()
        member.last_error = member.last_error or f"the worker {why}"
        self._say(f"worker {member.slot.name} {why}")
        blamed = begun if len(begun) == 1 else set()
        for episode_id in sorted(in_flight - blamed):
            self._waiting.append(episode_id)
        for episode_id in blamed:
            error = EngineError(f"worker {member.slot.name} {why}")
            note_error(self._out, "parent", episode_id, error)
            self._try_again(episode_id, f"the worker {why}")
        self._suspects |= begun  # several: each will be tried alone
        member.num_deaths += 1
        member.num_fruitless += not begun
        if member.num_fruitless >= _MOST_FRUITLESS or member.num_deaths >= _MOST_DEATHS:
            raise EngineError(
                f"worker {member.slot.name} {why}, {member.num_deaths} times without finishing an "
                f"episode; the last error: {member.last_error}; see {self._out}/errors.*.jsonl"
            )

    def _look_for_cancel(self) -> None:
        asked = self._job.asked() or (self._above and self._above.asked())
        if not asked:
            return
        if not self._is_cancelled:
            self._is_cancelled = True
            self._cancelled_s = time.monotonic()
            how = "are owed again" if asked["force"] else "are finished first"
            self._say(f"cancelling: the episodes that run now {how}")
        if asked["force"] or time.monotonic() - self._cancelled_s > _GRACE_S:
            self._end_all()

    def _end_all(self) -> None:
        """End every worker at once; what they had in hand is owed again."""
        for member in self._members:
            self._waiting.extend(sorted(member.in_flight))
            member.end()

    def _leave(self) -> None:
        """Let the workers close their files."""
        for member in self._members:
            if member.handle is not None:
                member.handle.send("stop")
        deadline = time.monotonic() + 10
        for member in self._members:
            handle = member.handle
            while handle and handle.receive() is not None and time.monotonic() < deadline:
                self._launcher.wait([handle], 0.1)
            member.end()

    # -- what others see ----------------------------------------------------------------------

    def _write_status(self, state: State, error: str) -> None:
        self._status_due_s = time.monotonic() + _STATUS_S
        left = len(self._waiting) + sum(len(member.in_flight) for member in self._members)
        # Loading the model is not part of the rate.
        rate = self._num_run / max(1e-9, time.monotonic() - self._ready_s) if self._is_begun else 0
        status: Status = {
            "state": state,
            "error": error,
            "total": self._num_asked,
            "done_before": self._run.num_done if self._run else 0,
            "done_now": self._num_run,
            "owed": left,
            "failed": self._num_given_up,
            "episodes_per_min": 60 * rate,
            "eta_s": left / rate if rate else None,
            "workers": {member.slot.name: member.status() for member in self._members},
        }
        self._job.tell(status)
        if self._above:
            self._above.tell()


def _launcher(run: Run) -> Launcher:
    arguments = (run.settings, run.config, run.data.sha256)
    if run.settings.launcher == "ray":
        from pmi_kernel.runs.launchers.ray import RayLauncher

        return RayLauncher(*arguments)
    from pmi_kernel.runs.launchers.processes import ProcessLauncher

    return ProcessLauncher(*arguments)


def _no_engine() -> dict[str, str]:
    return dict.fromkeys(("model", "model_hash", "dtype", "device", "strategy"), "")


class Hooks(TypedDict, total=False):
    """What whoever starts a run hears of it, and holds for it; see `Supervisor`."""

    on_start: Callable[[int, int], object]
    on_result: Callable[[EvalResult], object]
    say: Callable[[str], object]
    lock: int | None
    above: Owned | None


def supervise(settings: RunSettings, config: SystemConfig, **hooks: Unpack[Hooks]) -> RunOutcome:
    """Run every pending episode on worker processes; see `Supervisor`."""
    return Supervisor(settings, config, **hooks).run()


def run(
    settings: RunSettings,
    config: SystemConfig,
    *,
    system: System | None = None,
    **hooks: Unpack[Hooks],
) -> RunOutcome:
    """Run every pending episode in this process, one after the other.

    An episode that fails in the engine stays pending; any other error of a system ends the run.

    Args:
        settings: Data, run directory, limit; workers and concurrency do not matter here.
        config: The system's settings.
        system: A system of `config`; opened here where None.
        hooks: As `Supervisor` takes them.

    Raises:
        DataError: The data cannot be read.
        ConfigError: The directory holds a run with another configuration, or has another owner.
        EngineError: Three episodes in a row failed in the engine; what is done is kept.
        RestoreError: `verify_restore` found the base weights changed.
    """
    from pmi_kernel.runs.launchers.inline import InlineLauncher

    def inline(run: Run) -> Launcher:
        return InlineLauncher(run.settings, config, run.data.examples, system)

    settings = settings.model_copy(update={"concurrency": 1, "workers": 1})
    return Supervisor(settings, config, launcher=inline, **hooks).run()
