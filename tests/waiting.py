"""Deadlines: a busy machine makes a test slower, never red."""

import time
from collections.abc import Callable

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
