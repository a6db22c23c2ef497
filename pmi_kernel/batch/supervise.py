"""The parent of a run's workers: hands out episodes, restarts what dies, loses nothing.

Workers hold no state that matters: what is committed is in their files, the rest is owed. So the
parent may hand an episode out again whenever it is in doubt, and may itself be killed at any time.
"""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pmi_kernel.batch.devices import Slot, slots
from pmi_kernel.batch.record import write_json
from pmi_kernel.batch.run import Run, RunOutcome, owned
from pmi_kernel.batch.settings import RunSettings
from pmi_kernel.batch.worker import note_error
from pmi_kernel.config import SystemConfig
from pmi_kernel.errors import ConfigError, DataError, EngineError, PmiError, RestoreError
from pmi_kernel.records import decode
from pmi_kernel.types import EvalResult

CANCEL = "CANCEL"
"""File in a run directory that asks its owner to stop; `force` in it: at once."""

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

Message = tuple[Any, ...]


class Handle(Protocol):
    """A worker as the supervisor holds it, wherever it runs."""

    def send(self, *message: object) -> None:
        """Put a message in the worker's box; a dead worker's is lost."""
        ...

    def receive(self) -> list[Message] | None:
        """Return what came from the worker; None when it is dead and nothing is left to read."""
        ...

    def kill(self) -> None:
        """End the worker at once, and wait until it is gone."""
        ...


class Launcher(Protocol):
    """Starts workers."""

    def start(self, slot: Slot) -> Handle:
        """Start a worker in a slot."""
        ...

    def wait(self, handles: list[Handle], seconds: float) -> None:
        """Return when one of the workers has something to say, or after some seconds."""
        ...


@dataclass(slots=True)
class _Member:
    """One worker with what the parent knows of it."""

    slot: Slot
    handle: Handle | None = None
    in_flight: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    is_ready: bool = False
    num_done: int = 0
    num_failed: int = 0
    errors_in_a_row: int = 0
    num_fruitless: int = 0
    num_deaths: int = 0
    last_error: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs a run's pending episodes on workers.

    Args:
        settings: Data, run directory, workers, concurrency.
        config: The system's settings.
        on_start: Called once with the numbers of episodes done and to be run now.
        on_result: Called after each finished episode.
        say: Told of anything unusual, a line at a time.
    """

    def __init__(
        self,
        settings: RunSettings,
        config: SystemConfig,
        *,
        on_start: Callable[[int, int], object] = lambda done, pending: None,
        on_result: Callable[[EvalResult], object] = lambda result: None,
        say: Callable[[str], object] = lambda text: None,
    ) -> None:
        self._settings, self._config, self._out = settings, config, settings.out
        self._on_start, self._on_result, self._say = on_start, on_result, say
        self._members: list[_Member] = []
        self._attempts: Counter[str] = Counter()
        self._waiting: deque[str] = deque()
        self._suspects: set[str] = set()
        self._num_run = self._num_given_up = 0
        self._status_due_s = 0.0
        self._is_cancelled = False
        self._is_begun = False
        self._ready_s = 0.0

    def run(self) -> RunOutcome:
        """Run until nothing is owed, or until cancelled or interrupted; what is done is kept.

        Raises:
            DataError: The data cannot be read.
            ConfigError: The directory holds a run with another configuration, or has another
                owner, or the engine cannot be built.
            EngineError: A worker died again and again without finishing an episode.
            RestoreError: `verify_restore` found the base weights changed.
        """
        with owned(self._out, self._say):
            (self._out / CANCEL).unlink(missing_ok=True)
            self._started_s = time.monotonic()
            self._run = Run(self._settings, self._config)
            self._waiting.extend(self._run.pending)
            self._on_start(self._run.num_done, len(self._waiting))
            state, error = "failed", ""
            try:
                self._work()
                state = "cancelled" if self._is_cancelled else "done"
            except KeyboardInterrupt:
                state, self._is_cancelled = "interrupted", True
            except PmiError as failure:
                error = str(failure)
                raise
            finally:
                for member in self._members:
                    if member.handle is not None:
                        member.handle.kill()
                if self._is_begun or (self._out / "config.json").exists():
                    summary = self._run.finish(self._num_given_up)
                self._write_status(state, error)
                (self._out / CANCEL).unlink(missing_ok=True)
            return RunOutcome(summary, self._num_run, self._is_cancelled)

    # -- the loop -----------------------------------------------------------------------------

    def _work(self) -> None:
        if not self._waiting:
            if not (self._out / "config.json").exists():
                self._run.begin(_no_engine())
            return
        self._launcher = _launcher(self._settings, self._config)
        wanted = slots(self._settings.workers, self._config.device)
        for slot in wanted[: max(1, len(self._waiting))]:
            self._members.append(_Member(slot))
        while self._waiting or any(member.in_flight for member in self._members):
            for member in self._members:
                self._attend(member)
            self._launcher.wait([m.handle for m in self._members if m.handle is not None], 0.2)
            self._look_for_cancel()
            if self._is_cancelled and not any(member.in_flight for member in self._members):
                return
            if time.monotonic() >= self._status_due_s:
                self._write_status("cancelling" if self._is_cancelled else "running", "")
        self._leave()

    def _attend(self, member: _Member) -> None:
        """Hear a worker, start it where it is not there, and keep it busy."""
        if member.handle is None:
            if self._waiting and not self._is_cancelled:
                member.handle = self._launcher.start(member.slot)
            return
        messages = member.handle.receive()
        for message in messages or ():
            self._hear(member, *message)
        if messages is None:
            self._drop(member, "died")
        elif member.errors_in_a_row >= _ERRORS_IN_A_ROW:
            self._drop(member, "failed three times in a row")
        else:
            self._feed(member)

    def _feed(self, member: _Member) -> None:
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

    def _hear(self, member: _Member, kind: str, *rest: Any) -> None:
        if kind == "ready":
            if not self._is_begun:
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
        if self._attempts[episode_id] < _MOST_ATTEMPTS:
            self._waiting.append(episode_id)
        else:
            self._num_given_up += 1
            self._say(f"{episode_id} failed {_MOST_ATTEMPTS} times and stays pending: {error}")

    def _drop(self, member: _Member, why: str) -> None:
        """End a worker, to be started anew; what it had in hand is owed again."""
        assert member.handle is not None
        member.handle.kill()
        member.handle = None
        member.last_error = member.last_error or f"the worker {why}"
        self._say(f"worker {member.slot.name} {why}")
        blamed = member.begun if len(member.begun) == 1 else set()
        for episode_id in sorted(member.in_flight - blamed):
            self._waiting.append(episode_id)
        for episode_id in blamed:
            note_error(self._out, "parent", episode_id, f"worker {member.slot.name} {why}")
            self._try_again(episode_id, f"the worker {why}")
        self._suspects |= member.begun  # several: each will be tried alone
        member.num_deaths += 1
        member.num_fruitless += not member.begun
        if member.num_fruitless >= _MOST_FRUITLESS or member.num_deaths >= _MOST_DEATHS:
            raise EngineError(
                f"worker {member.slot.name} {why}, {member.num_deaths} times without finishing an "
                f"episode; the last error: {member.last_error}; see {self._out}/errors.*.jsonl"
            )
        member.begun.clear()
        member.in_flight.clear()
        member.is_ready, member.errors_in_a_row, member.facts = False, 0, {}

    def _look_for_cancel(self) -> None:
        try:
            asked = (self._out / CANCEL).read_text(encoding="utf-8").strip()
        except OSError:
            return
        if not self._is_cancelled:
            self._is_cancelled = True
            self._cancelled_s = time.monotonic()
            self._say("cancelling: the episodes that run now are finished first")
        if asked == "force" or time.monotonic() - self._cancelled_s > _GRACE_S:
            for member in self._members:
                if member.handle is not None:
                    member.handle.kill()
                    member.handle = None
                member.in_flight.clear()

    def _leave(self) -> None:
        """Let the workers close their files."""
        handles = [member.handle for member in self._members if member.handle is not None]
        for handle in handles:
            handle.send("stop")
        deadline = time.monotonic() + 10
        for handle in handles:
            while handle.receive() is not None and time.monotonic() < deadline:
                self._launcher.wait([handle], 0.1)
            handle.kill()

    # -- what others see ----------------------------------------------------------------------

    def _write_status(self, state: str, error: str) -> None:
        self._status_due_s = time.monotonic() + _STATUS_S
        spent_s = time.monotonic() - self._started_s
        left = len(self._waiting) + sum(len(member.in_flight) for member in self._members)
        # Loading the model is not part of the rate.
        rate = self._num_run / max(1e-9, time.monotonic() - self._ready_s) if self._is_begun else 0
        status = {
            "state": state,
            "error": error,
            "total": len(self._run.examples),
            "done_before": self._run.num_done,
            "done_now": self._num_run,
            "owed": left,
            "failed": self._num_given_up,
            "spent_s": spent_s,
            "episodes_per_min": 60 * rate,
            "eta_s": left / rate if rate else None,
            "updated": time.time(),
            "workers": {
                member.slot.name: {
                    "is_ready": member.is_ready,
                    "done": member.num_done,
                    "in_flight": len(member.in_flight),
                    "failed": member.num_failed,
                    "episodes_per_min": 60
                    * member.num_done
                    / max(1e-9, time.monotonic() - member.started_s),
                    "last_error": member.last_error,
                    **member.facts,
                }
                for member in self._members
            },
        }
        with contextlib.suppress(OSError):  # a full disk must not hide why the run ended
            write_json(self._out / "status.json", status)


def _launcher(settings: RunSettings, config: SystemConfig) -> Launcher:
    if settings.launcher == "ray":
        from pmi_kernel.batch.rays import RayLauncher

        return RayLauncher(settings, config)
    from pmi_kernel.batch.processes import ProcessLauncher

    return ProcessLauncher(settings, config)


def _no_engine() -> dict[str, str]:
    return dict.fromkeys(("model", "model_hash", "dtype", "device", "strategy"), "")


def supervise(
    settings: RunSettings,
    config: SystemConfig,
    *,
    on_start: Callable[[int, int], object] = lambda done, pending: None,
    on_result: Callable[[EvalResult], object] = lambda result: None,
    say: Callable[[str], object] = lambda text: None,
) -> RunOutcome:
    """Run every pending episode on worker processes; see `Supervisor`."""
    supervisor = Supervisor(settings, config, on_start=on_start, on_result=on_result, say=say)
    return supervisor.run()


def cancel(out: Path, *, is_forced: bool = False) -> None:
    """Ask the owner of a run to stop, after the episodes that run now or at once."""
    (out / CANCEL).write_text("force" if is_forced else "", encoding="utf-8")
