import threading
from collections.abc import Hashable, Sequence

import pytest

from pmi_kernel.core import progress
from pmi_kernel.core.progress import Stopped, Watch, watched
from pmi_kernel.engines.batcher import MicroBatcher
from tests.waiting import within


def together(batcher: MicroBatcher[int], calls: Sequence[tuple[Hashable, int]]) -> list[object]:
    """Submit from one thread each and return results or errors in the order of the calls."""
    results: list[object] = [None] * len(calls)

    def call(place: int, key: Hashable, request: int) -> None:
        try:
            results[place] = batcher.submit(key, request)
        except ValueError as error:
            results[place] = error

    threads = [threading.Thread(target=call, args=(i, *c)) for i, c in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=within(1))
    return results


class Recorder:
    """Runs batches and keeps them; a negative request is an error."""

    def __init__(self) -> None:
        self.batches: list[tuple[Hashable, tuple[int, ...]]] = []
        self.batcher = MicroBatcher(self.run, max_batch=4, linger_s=0.0)

    def run(self, key: Hashable, requests: Sequence[int]) -> Sequence[object]:
        self.batches.append((key, tuple(requests)))
        return [ValueError(f"bad {r}") if r < 0 else r * 10 for r in requests]


def test_each_caller_gets_its_own_result() -> None:
    batcher = Recorder().batcher
    assert together(batcher, [("k", n) for n in range(20)]) == [n * 10 for n in range(20)]


def test_a_batch_holds_one_key_and_no_more_than_its_limit() -> None:
    recorder = Recorder()
    together(recorder.batcher, [("even" if n % 2 == 0 else "odd", n) for n in range(30)])
    for key, requests in recorder.batches:
        assert len(requests) <= 4
        assert {("even", "odd")[r % 2] for r in requests} == {key}
    assert sorted(r for _, requests in recorder.batches for r in requests) == list(range(30))


def test_waiting_requests_share_a_batch() -> None:
    entered, leave = threading.Event(), threading.Event()
    batches: list[tuple[int, ...]] = []

    def run(key: Hashable, requests: Sequence[int]) -> Sequence[object]:
        batches.append(tuple(requests))
        if requests[0] == 0:
            entered.set()
            leave.wait(timeout=within(1))
        return list(requests)

    batcher = MicroBatcher(run, max_batch=8, linger_s=0.0)
    first = threading.Thread(target=batcher.submit, args=("k", 0))
    first.start()
    entered.wait(timeout=within(1))
    rest = [threading.Thread(target=batcher.submit, args=("k", n)) for n in range(1, 6)]
    for thread in rest:
        thread.start()
    while batcher.num_waiting < 5:
        pass
    leave.set()
    for thread in (first, *rest):
        thread.join(timeout=within(1))
    assert sorted(len(batch) for batch in batches) == [1, 5]


def test_who_asks_together_is_served_together() -> None:
    batches: list[int] = []

    def run(key: Hashable, requests: Sequence[int]) -> Sequence[object]:
        batches.append(len(requests))
        return list(requests)

    batcher = MicroBatcher(run, max_batch=4, linger_s=60.0)
    assert together(batcher, [("k", n) for n in range(4)]) == list(range(4))
    assert batches == [4]


def test_one_bad_row_fails_alone() -> None:
    results = together(Recorder().batcher, [("k", 1), ("k", -2), ("k", 3)])
    assert results[0] == 10
    assert isinstance(results[1], ValueError)
    assert results[2] == 30


def test_a_batch_that_fails_whole_is_run_one_by_one() -> None:
    def run(key: Hashable, requests: Sequence[int]) -> Sequence[object]:
        if -1 in requests:
            raise ValueError("poison")
        return list(requests)

    results = together(MicroBatcher(run, max_batch=8), [("k", n) for n in (1, -1, 2, 3)])
    assert [r for r in results if not isinstance(r, ValueError)] == [1, 2, 3]
    assert isinstance(results[1], ValueError)


def test_an_interrupt_reaches_its_caller_and_frees_the_batcher() -> None:
    def run(key: Hashable, requests: Sequence[int]) -> Sequence[object]:
        if requests[0] == 0:
            raise KeyboardInterrupt
        return list(requests)

    batcher = MicroBatcher(run, max_batch=8)
    with pytest.raises(KeyboardInterrupt):
        batcher.submit("k", 0)
    assert batcher.submit("k", 1) == 1
    with batcher.exclusively():
        assert batcher.num_waiting == 0


def test_what_is_not_urgent_lets_waiting_requests_go_first() -> None:
    order: list[str] = []
    first_runs, go_on = threading.Event(), threading.Event()

    def run(key: Hashable, requests: Sequence[str]) -> Sequence[object]:
        order.extend(requests)
        first_runs.set()
        go_on.wait(timeout=within(1))
        return list(requests)

    batcher: MicroBatcher[str] = MicroBatcher(run, max_batch=1)

    def alone(name: str, is_urgent: bool) -> None:
        with batcher.exclusively(lambda: is_urgent):
            order.append(name)

    threads = [threading.Thread(target=batcher.submit, args=("k", "first"))]
    threads[0].start()
    first_runs.wait(timeout=within(1))
    threads += [
        threading.Thread(target=alone, args=("patient", False)),
        *(threading.Thread(target=batcher.submit, args=("k", f"more {n}")) for n in range(3)),
    ]
    for thread in threads[1:]:
        thread.start()
    while batcher.num_waiting < 3:
        first_runs.wait(timeout=0.01)
    go_on.set()
    for thread in threads:
        thread.join(timeout=within(1))
    assert order[0] == "first"
    assert order[-1] == "patient"
    alone("urgent", True)
    assert order[-1] == "urgent"


@pytest.mark.parametrize("stopped", [(1,), (1, 2)])
def test_a_batch_is_stopped_when_all_who_are_in_it_want_that(stopped: tuple[int, ...]) -> None:
    watches, outcomes, is_through = {1: Watch(), 2: Watch()}, dict[int, object](), []

    def run(key: Hashable, requests: Sequence[int]) -> Sequence[object]:
        assert sorted(requests) == [1, 2]
        for number in stopped:
            watches[number].stop()
        progress.check()
        is_through.append(True)
        return requests

    batcher = MicroBatcher(run, max_batch=2, linger_s=within(1))

    def submit(number: int) -> None:
        try:
            with watched(watches[number]):
                outcomes[number] = batcher.submit("key", number)
        except Stopped:
            outcomes[number] = Stopped

    threads = [threading.Thread(target=submit, args=(number,)) for number in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within(5))
    assert outcomes == {number: Stopped if number in stopped else number for number in (1, 2)}
    assert bool(is_through) is (stopped == (1,))
