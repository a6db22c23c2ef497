"""Who owns a job's folder: one process at a time, which says how far it is and hears a cancel."""

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, with_config
from typing_extensions import TypedDict

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import Kept
from pmi_kernel.jobs.status import State, Status, write_status

_DYING_S = 5.0
"""So long may a killed owner take to let go: its last thread may outlive its pid."""
_WAIT_S = 0.02


@with_config(ConfigDict(extra="allow"))
class Owner(TypedDict):
    """The process that does a job; it began at `started` (seconds since 1970)."""

    pid: Annotated[int, Field(gt=0, lt=2**31)]
    started: FiniteFloat
    host: str


@with_config(ConfigDict(extra="allow"))
class Cancel(TypedDict):
    """The owner that is asked to stop; where `force`, at once."""

    owner: Owner
    force: bool


OWNER = Kept("owner.json", TypeAdapter(Owner), "delete it if no process is at this job")
CANCEL = Kept("CANCEL", TypeAdapter(Cancel), "delete it")


class Owned:
    """A folder that this process owns.

    Args:
        out: The folder.
        owner: This process.
        say: Told of anything unusual, a line at a time.

    Attributes:
        status: What was last told of it.
    """

    def __init__(self, out: Path, owner: Owner, say: Callable[[str], object]) -> None:
        self.out, self.owner, self._say = out, owner, say
        self.status: Status = {"state": State.STARTING, "error": "", "workers": {}}
        self._started_s = time.monotonic()
        self._is_written = True

    def asked(self) -> Cancel | None:
        """Return what this owner was asked: to stop; None where it was not."""
        asked = CANCEL.read(self.out)  # one that was meant for an owner before is not heeded
        return asked if asked and is_same_process(asked["owner"], self.owner) else None

    def tell(self, status: Status | None = None) -> None:
        """Write how far the job is: what is given, and the rest as it was told before.

        That it cannot be written must not hide why a job ended; it is said once.
        """
        self.status = {
            **self.status,
            **(status or {}),
            "spent_s": time.monotonic() - self._started_s,
            "updated": time.time(),
        }
        try:
            write_status(self.out, self.status)
            self._is_written = True
        except OSError as failure:
            if self._is_written:
                self._say(f"{self.out}: the status cannot be written: {failure.strerror}")
            self._is_written = False

    @contextmanager
    def told(self) -> Iterator[None]:
        """Write how the work within ends: done, failed, or stopped by a KeyboardInterrupt."""
        try:
            yield
        except KeyboardInterrupt:
            self.tell({"state": State.CANCELLED if self.asked() else State.INTERRUPTED})
            raise
        except Exception as error:
            self.tell({"state": State.FAILED, "error": str(error)})
            raise
        self.tell({"state": State.DONE})


@contextmanager
def owned(
    out: Path, say: Callable[[str], object] = lambda text: None, lock: int | None = None
) -> Iterator[Owned]:
    """Own a folder: one process at a time; an owner that died is taken over from.

    Args:
        out: The folder; made where it is not there.
        say: Told of anything unusual, a line at a time.
        lock: What `take_lock` gave, where it is held already.

    Raises:
        ConfigError: Another process owns it.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = take_lock(out) if lock is None else lock
    if lock is None:
        owner = OWNER.read(out)
        who = f" (pid {owner['pid']} on {owner['host']})" if owner else ""
        raise ConfigError(
            f"{out}: another process is running this job{who}; `pmi jobs cancel {out}` stops it"
        )
    try:
        before, owner = OWNER.read(out), identity(os.getpid())
        if before is not None and not is_same_process(before, owner):
            say(f"{out}: taking over from pid {before['pid']}, which ended without a word")
        try:
            OWNER.write(out, owner)
            yield Owned(out, owner, say)
        finally:
            with suppress(OSError):  # it names its owner: nobody else would heed it
                CANCEL.at(out).unlink(missing_ok=True)
            OWNER.at(out).unlink(missing_ok=True)
    finally:
        os.close(lock)


def take_lock(out: Path) -> int | None:
    """Return an open descriptor that holds a folder, or None where another process does.

    It is held until every copy of the descriptor is closed, so a child that it is passed to owns
    the folder without a gap.

    Raises:
        ConfigError: Another process holds it, and `owner.json` is damaged.
    """
    descriptor = os.open(out / "run.lock", os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + _DYING_S
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline or find_owner(out) is not None:
                    os.close(descriptor)
                    return None
                time.sleep(_WAIT_S)
            else:
                return descriptor
    except ConfigError:
        os.close(descriptor)
        raise


def find_owner(out: Path) -> psutil.Process | None:
    """Return the process of this machine that does a job now; None where none does.

    Raises:
        ConfigError: `owner.json` is damaged.
    """
    owner = OWNER.read(out)
    if owner is None or owner["host"] != socket.gethostname():
        return None
    try:
        process = psutil.Process(owner["pid"])
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        # A pid may be given to another process after the owner's end.
        return process if abs(process.create_time() - owner["started"]) < 1 else None
    except psutil.Error:
        return None


def cancel(out: Path, *, is_forced: bool = False) -> None:
    """Ask the owner of a job to stop, after what is at hand or at once."""
    owner = OWNER.read(out)
    if owner is not None:
        CANCEL.write(out, {"owner": owner, "force": is_forced})


def identity(pid: int) -> Owner:
    """Return what tells a process from a later one with the same pid.

    Raises:
        psutil.Error: There is no such process.
    """
    return {
        "pid": pid,
        "started": psutil.Process(pid).create_time(),
        "host": socket.gethostname(),
    }


def is_same_process(one: Owner, other: Owner) -> bool:
    """Whether both are one process; the clock that says when it began is exact to a second."""
    return (one["pid"], one["host"]) == (other["pid"], other["host"]) and abs(
        one["started"] - other["started"]
    ) < 1
