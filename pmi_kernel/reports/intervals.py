"""Means with their intervals, and the test of paired scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from pmi_kernel.core.figures import FIGURES, Average

RESAMPLES = 2000
"""Bootstrap resamples."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` values with its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int

    def show(self, name: str) -> str:
        """Return it as text, in the format of a figure of `FIGURES`."""
        figure = FIGURES[name]
        spec, scale = figure.mean_spec or figure.spec, figure.scale
        mean, low, high = (f"{scale * value:{spec}}" for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"


def show_with_n(name: str, interval: Interval | None) -> str:
    """Return a figure's mean with its interval and how many values it is of; a dash for none."""
    return f"{interval.show(name)} n={interval.n}" if interval else "-"


def mean_of(name: str, values: Sequence[float]) -> Interval:
    """Return a figure's mean with its interval.

    Args:
        name: The figure's, in `FIGURES`.
        values: One for each episode, at least one.
    """
    is_share = FIGURES[name].average is Average.SHARE
    return share_interval(values) if is_share else bootstrap(values)


def share_interval(values: Sequence[float]) -> Interval:
    """Return the mean of values in [0, 1] with its 95 % interval.

    It is Wilson's (1927) where each value is 0 or 1: a bootstrap of few equal values has no width,
    as if six of six were certainty. Else it is the bootstrap's.

    Args:
        values: One number for each episode, at least one.
    """
    if not set(values) <= {0, 1}:
        return bootstrap(values)
    n, share, z = len(values), sum(values) / len(values), 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (
        middle - half,
        middle + half,
    )  # of none and of all they are 0 and 1, but for rounding
    return Interval(share, low if share else 0.0, high if share < 1 else 1.0, n)


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Return the mean with its 95 % percentile bootstrap interval (Efron 1979).

    Args:
        values: One number for each episode, at least one.
        seed: Seeds the resampling.
    """
    sample = np.asarray(values, dtype=np.float64)
    means = _resampled_means(sample, seed)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(sample.mean()), float(low), float(high), len(sample))


def _resampled_means(
    sample: Float64[np.ndarray, " episodes"], seed: int
) -> Float64[np.ndarray, " resamples"]:
    rng = np.random.default_rng(seed)
    if len(sample) * RESAMPLES <= 20_000_000:
        return sample[rng.integers(0, len(sample), (RESAMPLES, len(sample)))].mean(axis=1)
    return np.array(
        [sample[rng.integers(0, len(sample), len(sample))].mean() for _ in range(RESAMPLES)]
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p of McNemar's test.

    Args:
        only_first: Episodes that only the first run has right.
        only_second: Episodes that only the second run has right.
    """
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(discordant, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**discordant)
