"""Background runs: started from anywhere, found again from anywhere; all state is in the folder."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from pmi_kernel.core.errors import ConfigError, PmiError
from pmi_kernel.core.folder import plainly, writable, write_json
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.runs.files import OWNER, RECORD, REQUEST, STATUS, Record, Request, read
from pmi_kernel.runs.merge import RESULTS
from pmi_kernel.runs.owner import find_owner, identity, take_lock
from pmi_kernel.runs.record import check_same
from pmi_kernel.runs.request import make_request, open_request, request_of
from pmi_kernel.runs.settings import RunSettings, check_settings
from pmi_kernel.runs.status import State, Status
from pmi_kernel.runs.supervise import cancel, supervise

LOG = "job.log"
INTERRUPTED = 130
"""Exit status after an interrupt."""
_STOPPING = (signal.SIGTERM,)
_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """A run in the background, known by its directory alone.

    Attributes:
        out: The run directory.
    """

    out: Path

    @classmethod
    def attach(cls, out: str | Path) -> "Job":
        """Return the job of a run directory, whoever started it.

        Raises:
            ConfigError: There is no run in it.
        """
        out = Path(out)
        if not any((out / name).exists() for name in (REQUEST, RECORD, STATUS, OWNER)):
            raise ConfigError(f"{out} holds no run")
        return cls(out)

    @property
    def owner(self) -> psutil.Process | None:
        """The process that runs the job now; None where none does.

        Raises:
            ConfigError: `owner.json` is damaged.
        """
        return find_owner(self.out)

    @property
    def is_running(self) -> bool:
        """Whether a process runs the job now."""
        return self.owner is not None

    def status(self) -> Status:
        """Return the last status that the owner wrote; `state` is `lost` where it died silently.

        Raises:
            ConfigError: `status.json` or `owner.json` is damaged.
        """
        is_running = self.is_running  # looked at first, or a clean end would look lost
        status: Status = {"workers": {}, **(read(Status, self.out) or {})}
        state = status.setdefault("state", State.STARTING)
        is_on = state in (State.STARTING, State.RUNNING, State.CANCELLING)
        if is_running and not is_on:
            status["state"] = State.STARTING
        elif is_on and not is_running:
            status["state"], status["error"] = State.LOST, self.last_words()
        return status

    def last_words(self, num_lines: int = 3) -> str:
        """Return the end of the job's log."""
        try:
            log = (self.out / LOG).read_text(encoding="utf-8", errors="backslashreplace")
        except OSError:
            return ""
        return "\n".join(log.splitlines()[-num_lines:])

    def cancel(self, *, is_forced: bool = False, wait_s: float = 0.0) -> None:
        """Ask the job to stop, after the episodes that run now or at once.

        Args:
            is_forced: End the workers at once; what was not committed is owed again.
            wait_s: Wait so long for the end; an owner that is still there then is killed, where
                `is_forced`.
        """
        if not self.is_running:
            return
        cancel(self.out, is_forced=is_forced)
        deadline = time.monotonic() + wait_s
        while self.is_running and time.monotonic() < deadline:
            time.sleep(_WAIT_S)
        owner = self.owner
        if is_forced and wait_s and owner is not None:
            owner.kill()

    def resume(self, *, workers: int | None = None, limit: int | None = None) -> "Job":
        """Go on with what is owed, under the run's own settings, with any number of workers.

        Raises:
            ConfigError: The job is running, or it was not started by `launch` or `pmi run`.
        """
        config, settings = request_of(self.out, workers=workers, limit=limit)
        return launch(config, settings)

    def wait(self) -> Status:
        """Block until the job has ended, and return its status."""
        while self.is_running:
            time.sleep(_WAIT_S)
        return self.status()


def launch(config: SystemConfig, settings: RunSettings) -> Job:
    """Start a run in the background and return at once; it outlives the process that called.

    Args:
        config: The system's settings.
        settings: Data, run directory, workers, concurrency.

    Raises:
        ConfigError: The run is running already.
    """
    check_settings(settings, config)
    request, out = make_request(config, settings), settings.out
    with plainly(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = take_lock(out)
        if lock is None:
            raise ConfigError(f"{out} is running already; Job.attach finds it")
        try:
            record = read(Record, out)
            if record is not None:
                known = {"system": config.system, "config": request["config"]}
                check_same(known, record, out)
            elif not any(out.glob(f"{RESULTS}*.jsonl")):  # else it may yet be refused
                write_json(out / REQUEST, request)
            (out / STATUS).unlink(missing_ok=True)
            process = _start(out, lock, request)
            write_json(out / OWNER, identity(process.pid))
        finally:
            os.close(lock)  # the child has its own
    threading.Thread(target=process.wait, daemon=True).start()  # or it stays a zombie
    return Job(out)


def _start(out: Path, lock: int, request: Request) -> "subprocess.Popen[bytes]":
    # Blocked until the child can end cleanly: SIGTERM waits for that, and is not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        with (out / LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "pmi_kernel.runs.jobs", str(lock), json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                # Out of the kernel's process group, or interrupting a cell would end the job.
                start_new_session=True,
            )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def find_jobs(root: Path) -> list[Job]:
    """Return the runs in the folders under `root`, by name."""
    names = (REQUEST, RECORD, OWNER)
    found = {path.parent for name in names for path in root.glob(f"*/{name}")}
    found |= {path.parent for path in root.glob(f"*/*/{RECORD}")}
    return [Job(out) for out in sorted(found)]


def _main(lock: int, request: Request) -> int:
    def say(text: str) -> None:
        sys.stderr.write(time.strftime("%H:%M:%S ") + writable(text) + "\n")
        sys.stderr.flush()

    def heed_signals(*_: object) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.set_inheritable(lock, False)
    try:
        config, settings = open_request(request, "what was asked for")
        outcome = supervise(settings, config, on_start=heed_signals, say=say, lock=lock)
    except PmiError as error:
        say(f"failed: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    say(f"ended; {outcome.num_run} episodes run now")
    return INTERRUPTED if outcome.is_interrupted else 0


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), json.loads(sys.argv[2])))
