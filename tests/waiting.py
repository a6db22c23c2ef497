"""Deadlines: a busy machine makes a test slower, never red."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pmi_kernel.jobs.owner import cancel

PATIENCE = 20
"""How many times longer than on an idle machine anything may take."""


def within(idle_s: float) -> float:
    """Return after how many seconds what takes `idle_s` on an idle machine will never come."""
    return PATIENCE * idle_s


def eventually(is_so: Callable[[], bool], what: str, idle_s: float = 3) -> None:
    """Wait until it is so; fail with `what` where that will never come."""
    deadline = time.monotonic() + within(idle_s)
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@contextmanager
def ends(out: Path, idle_s: float = 5) -> Iterator[None]:
    """Cancel a run that goes on for ever, so that its test fails instead."""
    is_cancelled = threading.Event()

    def stop() -> None:
        is_cancelled.set()
        cancel(out, is_forced=True)

    timer = threading.Timer(within(idle_s), stop)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    assert not is_cancelled.is_set(), "the run hung"
