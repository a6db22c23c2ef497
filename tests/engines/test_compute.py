"""The computing thread: whoever calls, one thread works, and it has the machine's cores."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from pmi_kernel.engines.compute import compute, computing


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
