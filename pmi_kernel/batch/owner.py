"""Who owns a run directory: one process at a time."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from pmi_kernel.batch.files import OWNER, Owner, read
from pmi_kernel.batch.record import write_json
from pmi_kernel.errors import ConfigError


def take_lock(out: Path) -> int | None:
    """Return an open descriptor that holds a run directory, or None where another process does.

    It is held until every copy of the descriptor is closed, so a child that it is passed to owns
    the directory without a gap.
    """
    descriptor = os.open(out / "run.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


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
