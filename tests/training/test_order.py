"""Which samples a step has, and at which rate, are functions of the settings alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmi_kernel.training import Sample, TrainConfig
from pmi_kernel.training.order import samples
from pmi_kernel.training.schedule import num_steps, rate


@given(st.integers(1, 400), st.integers(0, 2**63 - 1), st.integers(0, 3))
def test_an_epoch_has_every_number_once(size: int, seed: int, epoch: int) -> None:
    found = samples(epoch * size, size, size, seed)
    assert {one.epoch for one in found} == {epoch}
    assert sorted(one.number for one in found) == list(range(size))


def test_an_order_is_known_without_what_was_before_it() -> None:
    whole = samples(0, 60, 24, seed=7)
    assert [samples(place, 1, 24, seed=7)[0] for place in range(60)] == whole
    assert samples(10**13, 3, 5_000_000, seed=7) == samples(10**13, 3, 5_000_000, seed=7)
    assert samples(10**13, 1, 5_000_000, seed=7)[0].epoch == 2_000_000


def test_orders_differ_by_epoch_and_seed_and_look_like_chance() -> None:
    size = 10_000
    orders = [samples(0, size, size, 1), samples(size, size, size, 1), samples(0, size, size, 2)]
    numbers = [[one.number for one in order] for order in orders]
    for one in range(3):
        for other in range(one):
            same = sum(a == b for a, b in zip(numbers[one], numbers[other], strict=True))
            assert same < 10  # 1 is expected
        jumps = [abs(a - b) for a, b in zip(numbers[one], numbers[one][1:], strict=False)]
        assert sum(jumps) / size == pytest.approx(size / 3, rel=0.05)
        first = numbers[one][: size // 2]
        assert sum(number < size // 2 for number in first) == pytest.approx(size / 4, rel=0.05)


def test_a_row_of_epochs_goes_on_within_a_step() -> None:
    assert samples(4, 3, 5, 0) == [*samples(4, 1, 5, 0), *samples(5, 2, 5, 0)]
    assert samples(5, 1, 1, 0) == [Sample(5, 0)]


def test_steps_of_epochs_cover_the_data() -> None:
    assert num_steps(TrainConfig(epochs=2, batch=8), 21) == 6  # 42 samples
    assert num_steps(TrainConfig(epochs=0.01, batch=8), 21) == 1
    assert num_steps(TrainConfig(epochs=2, steps=3), 21) == 3


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("none", [0.5, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, 0.8535534, 0.5, 0.1464466]),
    ],
)
@pytest.mark.parametrize("warmup", [2, 0.33])
def test_a_rate_rises_and_falls(schedule: str, expected: list[float], warmup: float) -> None:
    config = TrainConfig(schedule=schedule, warmup=warmup)  # type: ignore[arg-type]
    assert [rate(config, step, 6) for step in range(6)] == pytest.approx(expected)
