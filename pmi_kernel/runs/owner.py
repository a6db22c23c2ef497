"""Who owns a run directory: one process at a time."""

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import write_json
from pmi_kernel.runs.files import OWNER, Owner, read

_DYING_S = 5.0
"""So long may a killed owner take to let go: its last thread may outlive its pid."""
_WAIT_S = 0.02


def take_lock(out: Path) -> int | None:
    """Return an open descriptor that holds a run directory, or None where another process does.

    It is held until every copy of the descriptor is closed, so a child that it is passed to owns
    the directory without a gap.

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
    """Return the process that runs a run now; None where none does.

    Raises:
        ConfigError: `owner.json` is damaged.
    """
    owner = read(Owner, out)
    if owner is None:
        return None
    try:
        process = psutil.Process(owner["pid"])
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        # A pid may be given to another process after the owner's end.
        return process if abs(process.create_time() - owner["started"]) < 1 else None
    except psutil.Error:
        return None


@contextmanager
def owned(
    out: Path, say: Callable[[str], object] = lambda text: None, lock: int | None = None
) -> Iterator[Owner]:
    """Own a run directory: one process at a time; an owner that died is taken over from.

    Args:
        out: The directory; made where it is not there.
        say: Told of a take-over.
        lock: What `take_lock` gave, where it is held already.

    Raises:
        ConfigError: Another process owns it.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = take_lock(out) if lock is None else lock
    if lock is None:
        owner = read(Owner, out)
        who = f" (pid {owner['pid']} on {owner['host']})" if owner else ""
        raise ConfigError(
            f"{out}: another process is running this run{who}; `pmi jobs cancel {out}` stops it"
        )
    try:
        before, owner = read(Owner, out), identity(os.getpid())
        if before is not None and not is_same_process(before, owner):
            say(f"{out}: taking over from pid {before['pid']}, which ended without a word")
        try:
            write_json(out / OWNER, owner)
            yield owner
        finally:
            (out / OWNER).unlink(missing_ok=True)
    finally:
        os.close(lock)


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
