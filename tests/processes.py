"""Processes that a test starts, itself or through what it tests, end with it."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

_MARK = "PMI_TEST_MARK"
"""Environment variable by which a process is known to have been started within a context."""


@contextmanager
def ending_what_starts() -> Iterator[None]:
    """At the context's end, kill every process started within, however far from its parent."""
    mark, outer, before = uuid.uuid4().hex, os.environ.get(_MARK), set(psutil.pids())
    os.environ[_MARK] = mark
    try:
        yield
    finally:
        if outer is None:
            del os.environ[_MARK]
        else:
            os.environ[_MARK] = outer
        while found := _marked(mark, set(psutil.pids()) - before):
            for process in found:
                process.kill()
            psutil.wait_procs(found, timeout=1)


def _marked(mark: str, pids: set[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        with suppress(psutil.Error):  # it ended meanwhile, or is another user's
            process = psutil.Process(pid)
            if process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
