"""Background jobs: started from anywhere, found again from anywhere; all state is in the folder.

What is done in the background is a verb: a line in `VERBS`, and a module that does it.
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, Protocol, cast

import psutil
from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import Kept, plainly
from pmi_kernel.jobs.owner import OWNER, cancel, find_owner, identity, take_lock
from pmi_kernel.jobs.status import GOING_ON, STATUS, State, Status

LOG = "job.log"
STOPPING = (signal.SIGTERM,)
"""Signals that a job's process hears once it can end cleanly."""
_WAIT_S = 0.1
_MOST_NEAR = 5
"""Most jobs that are named where there is none."""


@with_config(ConfigDict(extra="allow"))
class Request(TypedDict):
    """What was asked for, so that a job can be gone on with by its folder alone.

    Without a verb it is a run's, of a system; what else it holds is the verb's own.
    """

    verb: NotRequired[str]
    system: NotRequired[str]
    study: NotRequired[str]
    config: dict[str, Any]
    settings: dict[str, Any]


REQUEST = Kept(
    "request.json", TypeAdapter(Request), "delete it: `pmi resume` then goes by config.json"
)


class Work(Protocol):
    """A module that does what a verb names."""

    def admit(self, request: Request, out: Path) -> None:
        """Refuse what cannot be begun, or be gone on with, in this folder; keep the request.

        Raises:
            ConfigError: The folder holds another job.
        """
        ...

    def work(
        self,
        request: Request,
        *,
        lock: int,
        on_start: Callable[..., object],
        say: Callable[[str], object],
    ) -> str:
        """Do it, in this process, and return the last words.

        Args:
            request: What was asked for.
            lock: Holds the folder.
            on_start: To be called when a signal can be heeded.
            say: Told of anything unusual, a line at a time.

        Raises:
            KeyboardInterrupt: It was cancelled or interrupted; what is done is kept.
        """
        ...

    def asked(self, out: Path, **changes: Any) -> Request:
        """Return what a folder's job was asked for, with settings that are to be others now.

        Raises:
            ConfigError: There is no such job in it, or its files are damaged.
        """
        ...


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that can be done in the background.

    Attributes:
        module: Where it is done; see `Work`.
        files: What tells a folder of this kind, beside a request.
        found: Where the function is that reads how far a folder is from what was done in it.
    """

    module: str
    files: tuple[str, ...]
    found: str

    def load(self) -> Work:
        """Return the module."""
        return cast("Work", importlib.import_module(self.module))

    def look(self, out: Path) -> Status:
        """Return how far a folder is, where no owner left a status.

        Raises:
            ConfigError: What was done in it is damaged.
        """
        module, _, name = self.found.partition(":")
        return cast("Status", getattr(importlib.import_module(module), name)(out))


VERBS = {
    "run": Verb("pmi_kernel.runs.background", ("config.json",), "pmi_kernel.runs.files:found"),
    "study": Verb(
        "pmi_kernel.studies.background",
        ("study.json", "accumulation.json"),
        "pmi_kernel.runs.files:found_cells",
    ),
    "grid": Verb(
        "pmi_kernel.studies.grid_job",
        (),  # its request tells
        "pmi_kernel.studies.grid_job:found",
    ),
    "train": Verb(
        "pmi_kernel.systems.learning",
        ("train_log.jsonl",),  # and a config.json too
        "pmi_kernel.training.checkpoint:found",
    ),
}


@dataclass(frozen=True, slots=True, init=False)
class Job:
    """A background job, known by its folder alone, which may not be there yet.

    Attributes:
        out: The folder.
    """

    out: Path

    def __init__(self, out: str | Path) -> None:
        object.__setattr__(self, "out", Path(out))

    @classmethod
    def attach(cls, out: str | Path) -> "Job":
        """Return the job of a folder, whoever started it.

        Raises:
            ConfigError: There is none in it.
        """
        job = cls(out)
        job._check_is_there()
        kept = [file.name for file in (REQUEST, STATUS, OWNER)]
        known = (*kept, *(name for verb in VERBS.values() for name in verb.files))
        if not any((job.out / name).exists() for name in known):
            raise ConfigError(f"{job.out} holds no run, and no other job")
        return job

    def _check_is_there(self) -> None:
        if self.out.exists():
            return
        near = [str(job.out) for job in find_jobs(self.out.parent)[:_MOST_NEAR]]
        there = f"near it are {', '.join(near)}" if near else "there is none near it"
        raise ConfigError(
            f"{self.out}: there is no such folder; name a job's, e.g. runs/example ({there})"
        )

    @property
    def verb(self) -> str | None:
        """What is done, one of `VERBS`; None where nothing tells.

        Raises:
            ConfigError: `request.json` is damaged, or another version's.
        """
        for name, verb in reversed(VERBS.items()):
            if any((self.out / file).exists() for file in verb.files):
                return name
        request = REQUEST.read(self.out)
        if request is None:
            return None
        name = request.get("verb", "run")
        if name not in VERBS:
            raise ConfigError(
                f"{REQUEST.at(self.out)}: no job is a {name!r} (there are {', '.join(VERBS)})"
            )
        return name

    @property
    def owner(self) -> psutil.Process | None:
        """The process of this machine that does the job now; None where none does.

        Raises:
            ConfigError: `owner.json` is damaged.
        """
        return find_owner(self.out)

    @property
    def is_running(self) -> bool:
        """Whether a process of this machine does the job now."""
        return self.owner is not None

    def status(self) -> Status:
        """Return the last status that the owner wrote.

        Where no owner left one, what was done tells: `done`, or `stopped` with something owed.
        `state` is `lost` where an owner died silently, `unknown` where nothing tells; that of an
        owner on another machine is as it was last written.

        Raises:
            ConfigError: There is no such folder, or `status.json` or `owner.json` is damaged.
        """
        self._check_is_there()
        is_running = self.is_running  # looked at first, or a clean end would look lost
        written = STATUS.read(self.out)
        status: Status = {"workers": {}, **(written or {})}
        state = status.setdefault("state", State.STARTING)
        owner = OWNER.read(self.out)
        if is_running and state not in GOING_ON:
            status["state"] = State.STARTING
        elif state in GOING_ON and not is_running:
            if owner is not None and owner["host"] != socket.gethostname():
                return status
            if written is None and not (self.out / LOG).exists():
                return self._looked_at()
            status["state"] = State.LOST
            status["error"] = self.last_words()
        return status

    def _looked_at(self) -> Status:
        """How far it is by what was done."""
        verb = self.verb
        found: Status = VERBS[verb].look(self.out) if verb else {}
        return {"workers": {}, "state": State.UNKNOWN, "error": "", **found}

    def last_words(self, num_lines: int = 3) -> str:
        """Return the end of the job's log."""
        try:
            log = (self.out / LOG).read_text(encoding="utf-8", errors="backslashreplace")
        except OSError:
            return ""
        return "\n".join(log.splitlines()[-num_lines:])

    def cancel(self, *, is_forced: bool = False, wait_s: float = 0.0) -> None:
        """Ask the job to stop, after what it has at hand or at once.

        Args:
            is_forced: At once; what was not committed is owed again.
            wait_s: Wait so long for the end; an owner that is still there then is killed, where
                `is_forced`.

        Raises:
            ConfigError: There is no such folder.
        """
        self._check_is_there()
        cancel(self.out, is_forced=is_forced)
        deadline = time.monotonic() + wait_s
        while self.is_running and time.monotonic() < deadline:
            time.sleep(_WAIT_S)
        owner = self.owner
        if is_forced and wait_s and owner is not None:
            owner.kill()

    def resume(self, **changes: Any) -> "Job":
        """Go on with what is owed, in the background, under the job's own settings.

        Args:
            changes: Settings that are to be others now, and may be: of a run its `workers`,
                `limit`, and `data` where the file was moved.

        Raises:
            ConfigError: The job is running, or its files do not tell what was asked for.
        """
        self._check_is_there()
        verb = self.verb or "run"
        return launch(verb, VERBS[verb].load().asked(self.out, **changes), self.out)

    def wait(self) -> Status:
        """Block until the job has ended, and return its status."""
        while self.is_running:
            time.sleep(_WAIT_S)
        return self.status()


def launch(verb: str, request: Request, out: Path) -> Job:
    """Start a job in the background and return at once; it outlives the process that called.

    Args:
        verb: One of `VERBS`.
        request: What is asked for.
        out: The job's folder.

    Raises:
        ConfigError: The folder's job is running already, or is another one.
    """
    with plainly(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = take_lock(out)
        if lock is None:
            raise ConfigError(f"{out} is running already; Job.attach finds it")
        try:
            there = Job(out).verb
            if there not in (None, verb):
                raise ConfigError(f"{out} holds a {there}; name another folder for this {verb}")
            VERBS[verb].load().admit(request, out)
            STATUS.at(out).unlink(missing_ok=True)
            process = _start(out, lock, verb, request)
            OWNER.write(out, identity(process.pid))
        finally:
            os.close(lock)  # the child has its own
    threading.Thread(target=process.wait, daemon=True).start()  # or it stays a zombie
    return Job(out)


def _start(out: Path, lock: int, verb: str, request: Request) -> "subprocess.Popen[bytes]":
    # Blocked until the child can end cleanly: SIGTERM waits for that, and is not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        with (out / LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", __package__, verb, str(lock), json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                # Out of the kernel's process group, or interrupting a cell would end the job.
                start_new_session=True,
            )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def find_jobs(root: Path) -> list[Job]:
    """Return the jobs in the folders under `root`, by name."""
    marks = [name for verb in VERBS.values() for name in verb.files]
    names = (REQUEST.name, OWNER.name, *marks)
    found = {path.parent for name in names for path in root.glob(f"*/{name}")}
    found |= {path.parent for name in marks for path in root.glob(f"*/*/{name}")}
    # A checkpoint may have a config.json of its own.
    return [Job(out) for out in sorted(found) if not (out / "meta.json").exists()]
