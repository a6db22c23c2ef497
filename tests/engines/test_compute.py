"""The computing thread: whoever calls, one thread works, and it has the machine's cores."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from pmi_kernel.core import progress
from pmi_kernel.core.progress import Report, Watch, watched
from pmi_kernel.engines.compute import compute, computing
from tests.waiting import within


def test_all_callers_share_one_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        used = set(pool.map(lambda _: compute(threading.get_ident), range(20)))
    assert len(used) == 1
    assert threading.get_ident() not in used


def test_results_and_errors_reach_the_caller() -> None:
    assert compute(max, 3, 8) == 8
    with pytest.raises(ZeroDivisionError):
        compute(lambda: 1 / 0)
    assert compute(max, 1, 2) == 2


def test_what_computes_is_heard_by_who_watches_its_caller() -> None:
    heard: list[Report] = []
    with watched(Watch(heard.append)):
        compute(progress.at, "thinking", 1, 2)
    compute(progress.at, "thinking", 2, 2)
    assert [report.done for report in heard] == [1]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts are heard, also where these tests run in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_of_the_caller_stops_what_computes() -> None:
    ended = threading.Event()

    def endless() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            while True:
                progress.check()
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        compute(endless)
    assert ended.wait(within(1))
    compute(progress.check)


def test_what_computes_may_call_what_computes() -> None:
    @computing
    def outer(number: int) -> int:
        return inner(number) + 1

    @computing
    def inner(number: int) -> int:
        return 2 * number

    assert outer(number=3) == 7


def test_a_caller_that_computed_itself_may_go_on() -> None:
    x = torch.randn(600, 600)
    for _ in range(3):
        mine = x @ x.T
        assert torch.equal(compute(torch.matmul, x, x.T), mine)
