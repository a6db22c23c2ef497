"""The channel by itself: who hears what, who stops what."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from pmi_kernel.core import progress
from pmi_kernel.core.progress import Phase, Report, Stopped, Watch, watched


def train(steps: int) -> int:
    """Reports as a trainer does; returns the steps taken."""
    for step in range(1, steps + 1):
        progress.at(Phase.TRAINING, step, steps, loss_nats=partial(float, step))
    return steps


def test_nobody_needs_to_watch() -> None:
    def loss() -> float:
        raise AssertionError("nobody hears it")

    assert train(3) == 3
    progress.at(Phase.TRAINING, 1, 3, loss_nats=loss)
    with progress.stoppable():
        progress.at(Phase.TRAINING, 1, 3, loss_nats=loss)
    with progress.within(Phase.MEASURING_BEFORE, 2) as part:
        part.advance()
    progress.check()


def test_reports_say_what_is_done_of_how_much_and_the_loss() -> None:
    heard: list[Report] = []
    with watched(Watch(heard.append)):
        train(3)
        progress.at("thinking")
    assert [(r.done, r.total, r.loss_nats) for r in heard[:3]] == [
        (1, 3, 1.0),
        (2, 3, 2.0),
        (3, 3, 3.0),
    ]
    assert [str(report) for report in heard] == [
        *(f"training step {step} of 3" for step in (1, 2, 3)),
        "thinking",
    ]
    assert heard[2].spent_s >= heard[1].spent_s >= heard[0].spent_s == 0
    assert heard[3].spent_s == 0
    assert Report(Phase.TRAINING, 5, 20, spent_s=10.0).left_s == 30
    assert Report(Phase.TRAINING, 0, 20).left_s is None
    assert Report(Phase.LOADING, 3).left_s is None


def test_a_phase_hears_what_is_done_within_it_as_details() -> None:
    heard: list[Report] = []
    with watched(Watch(heard.append)), progress.within(Phase.MEASURING_AFTER, 2) as part:
        progress.at(Phase.GENERATING, 1, 4)
        part.advance()
        with progress.within(Phase.SCORING, 8):
            train(1)
    assert [str(report) for report in heard] == [
        "measuring after, question 0 of 2",
        "measuring after, question 0 of 2 (generating token 1 of 4)",
        "measuring after, question 1 of 2",
        "measuring after, question 1 of 2 (scoring text 0 of 8)",
        "measuring after, question 1 of 2 (training step 1 of 1)",
    ]
    assert heard[-1].loss_nats == 1.0


def test_a_stop_is_heard_at_the_very_report_at_which_it_is_asked_for() -> None:
    heard: list[Report] = []

    def hear(report: Report) -> None:
        heard.append(report)
        if len(heard) == 2:
            watch.stop()

    watch = Watch(hear)
    with watched(watch), pytest.raises(Stopped):
        train(5)
    assert [report.done for report in heard] == [1, 2]
    assert train(1) == 1  # what nobody watches any more goes on


def test_of_many_reports_a_busy_listener_hears_few_but_each_phase() -> None:
    heard: list[Report] = []
    with watched(Watch(heard.append, every_s=1000)):
        train(50)
        progress.at(Phase.GENERATING, 0, 5)
        progress.at(Phase.GENERATING, 1, 5)
        train(2)
    assert [report.phase for report in heard] == [
        Phase.TRAINING,
        Phase.GENERATING,
        Phase.TRAINING,
    ]


def test_what_runs_in_other_threads_is_heard_where_it_was_carried_to() -> None:
    heard: list[Report] = []
    with watched(Watch(heard.append)), ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(progress.carried(train), 5) for _ in range(4)]:
            future.result()
        pool.submit(train, 5).result()
    assert len(heard) == 20


def test_a_stop_from_above_reaches_what_is_below_and_not_the_other_way() -> None:
    above = Watch()
    with watched(above), progress.stoppable() as part:
        part.stop()
        with pytest.raises(Stopped):
            progress.check()
    with watched(above):
        progress.check()
        above.stop()
        with pytest.raises(Stopped), progress.stoppable():
            progress.check()
        with watched(None):
            progress.check()  # what must be done whole


def test_a_batch_is_heard_by_all_and_stops_when_all_want_that() -> None:
    heard: dict[str, list[Report]] = {"one": [], "other": []}
    one, other = Watch(heard["one"].append), Watch(heard["other"].append)
    with watched(progress.together([one, other, one])):
        progress.at(Phase.GENERATING, 1, 2)
        one.stop()
        progress.check()
        other.stop()
        with pytest.raises(Stopped):
            progress.check()
    assert [len(reports) for reports in heard.values()] == [1, 1]
    with watched(progress.together([one, None])):
        progress.check()


def test_a_listener_is_told_one_report_at_a_time() -> None:
    lock, clashes = threading.Lock(), list[Report]()

    def hear(report: Report) -> None:
        if not lock.acquire(blocking=False):
            clashes.append(report)
            return
        lock.release()

    with watched(Watch(hear)), ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(progress.carried(train), 200) for _ in range(8)]:
            future.result()
    assert not clashes
