"""Runs side by side on the episodes that they share, with intervals and tests."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.result import EvalResult
from pmi_kernel.runs.files import Record, read
from pmi_kernel.runs.merge import read_results

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 2000
"""Bootstrap resamples."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` values with its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Return it in percent."""
        return self.render(".1f", 100)

    def render(self, spec: str, scale: float = 1) -> str:
        """Return it times `scale`, each number in a format such as `+.2f`."""
        mean, low, high = (f"{scale * value:{spec}}" for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"


@dataclass(frozen=True, slots=True)
class RunScores:
    """One run on the common episodes.

    Attributes:
        name: Its folder.
        system: Its system.
        num_episodes: The common episodes.
        em: Official exact match.
        f1: Official F1.
        sub_em: Sub-span exact match.
        seconds_s: Mean seconds per episode, all stages.
        tokens: Mean tokens per episode, prompts, outputs and training.
        attached_mb: Mean megabytes of memory attached per episode.
    """

    name: str
    system: str
    num_episodes: int
    em: Interval
    f1: Interval
    sub_em: Interval
    seconds_s: float
    tokens: float
    attached_mb: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A run against the first one, episode by episode.

    Attributes:
        name: The run.
        against: The first run.
        em: Difference of EM, paired bootstrap.
        f1: Difference of F1, paired bootstrap.
        mcnemar_p: Two-sided exact p of McNemar's test on EM (McNemar 1947).
        wins: Episodes with a higher F1 than the first run's.
        losses: Episodes with a lower one.
    """

    name: str
    against: str
    em: Interval
    f1: Interval
    mcnemar_p: float
    wins: tuple[str, ...]
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: In the order given.
        differences: Every run but the first against the first.
        num_left_out: Episodes that not all runs have.
    """

    runs: tuple[RunScores, ...]
    differences: tuple[Difference, ...]
    num_left_out: int

    def score_table(self) -> tuple[tuple[str, ...], Sequence[tuple[str, ...]]]:
        """Return columns and rows: percent with intervals, and means per episode of the cost."""
        columns = ("run", "n", "EM", "F1", "sub-span EM", "seconds", "tokens", "MB")
        rows = [
            (
                run.name,
                str(run.num_episodes),
                str(run.em),
                str(run.f1),
                str(run.sub_em),
                f"{run.seconds_s:.1f}",
                f"{run.tokens:.0f}",
                f"{run.attached_mb:.1f}",
            )
            for run in self.runs
        ]
        return columns, rows

    def difference_table(self) -> tuple[tuple[str, ...], Sequence[tuple[str, ...]]]:
        """Return columns and rows: each run minus the first, paired by episode."""
        columns = ("paired difference", "EM", "F1", "McNemar p", "wins", "losses")
        rows = [
            (
                f"{d.name} - {d.against}",
                str(d.em),
                str(d.f1),
                f"{d.mcnemar_p:.3f}",
                str(len(d.wins)),
                str(len(d.losses)),
            )
            for d in self.differences
        ]
        return columns, rows

    @property
    def caption(self) -> str:
        """What the numbers are."""
        text = "Percent with 95 % intervals; seconds, tokens and MB are per episode."
        if self.num_left_out:
            text += f" {self.num_left_out} episodes that not all runs have are left out."
        return text

    def frame(self) -> "pd.DataFrame":
        """Return the comparison as a table, a row a run; scores in percent."""
        import pandas as pd

        rows = []
        against = {difference.name: difference for difference in self.differences}
        for run in self.runs:
            row: dict[str, Any] = {"run": run.name, "system": run.system, "n": run.num_episodes}
            for label, score in (("EM", run.em), ("F1", run.f1), ("sub-span EM", run.sub_em)):
                row[label] = 100 * score.mean
                row[f"{label} low"], row[f"{label} high"] = 100 * score.low, 100 * score.high
            row |= {
                "s/episode": run.seconds_s,
                "tokens/episode": run.tokens,
                "MB/episode": run.attached_mb,
            }
            if difference := against.get(run.name):
                row |= {
                    "F1 difference": 100 * difference.f1.mean,
                    "F1 difference low": 100 * difference.f1.low,
                    "F1 difference high": 100 * difference.f1.high,
                    "McNemar p": difference.mcnemar_p,
                    "wins": len(difference.wins),
                    "losses": len(difference.losses),
                }
            rows.append(row)
        return pd.DataFrame(rows)


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean with its 95 % interval: Wilson's of a share, the bootstrap's of all else.

    A share is a mean of zeros and ones. A bootstrap of few equal values has no width, as if six of
    six were certainty; Wilson's score interval (1927) has.

    Args:
        values: One number for each episode, at least one.
    """
    if not set(values) <= {0, 1}:
        return bootstrap(values)
    n, share, z = len(values), sum(values) / len(values), 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half), n)


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


def compare(runs: Sequence[Path], *, is_forced: bool = False, seed: int = 0) -> Comparison:
    """Compare runs on the episodes that all of them have.

    Args:
        runs: Run directories, at least one; the first is what the others are held against.
        is_forced: Compare runs over different data files too, by episode id.
        seed: Seeds the resampling.

    Raises:
        DataError: A run has no results, or they share no episode.
        ConfigError: They ran over different data.
    """
    records: dict[Path, Mapping[str, Any]] = {run: read(Record, run) or {} for run in runs}
    hashes = {run: record.get("data", {}).get("sha256") for run, record in records.items()}
    if len(set(hashes.values())) > 1 and not is_forced:
        shown = ", ".join(f"{run}: {str(value)[:12]}" for run, value in hashes.items())
        raise ConfigError(f"the runs are over different data ({shown}); --force compares by id")
    results = {run: read_results(run) for run in runs}
    for run, found in results.items():
        if not found:
            raise DataError(f"{run} has no results yet")
    common = sorted(set.intersection(*(set(found) for found in results.values())))
    if not common:
        raise DataError("the runs share no episode")
    names = _names(runs)
    first = [results[runs[0]][id_] for id_ in common]
    differences = [
        _difference(names[run], names[runs[0]], first, [results[run][i] for i in common], seed)
        for run in runs[1:]
    ]
    scores = [
        _scores(names[run], records[run], [results[run][id_] for id_ in common]) for run in runs
    ]
    everything = set().union(*results.values())
    return Comparison(tuple(scores), tuple(differences), len(everything) - len(common))


def _names(runs: Sequence[Path]) -> dict[Path, str]:
    """Folder names, or paths where two folders have the same name."""
    names = [run.resolve().name for run in runs]
    return {
        run: name if names.count(name) == 1 else str(run)
        for run, name in zip(runs, names, strict=True)
    }


def _scores(name: str, record: Mapping[str, Any], results: Sequence[EvalResult]) -> RunScores:
    def mean_cost(suffix: str) -> float:
        sums = [sum(v for k, v in r.costs.items() if k.endswith(suffix)) for r in results]
        return sum(sums) / len(sums)

    return RunScores(
        name=name,
        system=record.get("system", "?"),
        num_episodes=len(results),
        em=mean_interval([r.scores["em"] for r in results]),
        f1=mean_interval([r.scores["f1"] for r in results]),
        sub_em=mean_interval([r.scores["sub_em"] for r in results]),
        seconds_s=mean_cost("_s"),
        tokens=mean_cost("_tokens"),
        attached_mb=mean_cost("_bytes") / 1e6,
    )


def _difference(
    name: str, against: str, first: Sequence[EvalResult], second: Sequence[EvalResult], seed: int
) -> Difference:
    ids = [result.episode_id for result in first]
    em, f1 = (
        [b.scores[name] - a.scores[name] for a, b in zip(first, second, strict=True)]
        for name in ("em", "f1")
    )
    return Difference(
        name=name,
        against=against,
        em=bootstrap(em, seed=seed),
        f1=bootstrap(f1, seed=seed),
        mcnemar_p=mcnemar(sum(change < 0 for change in em), sum(change > 0 for change in em)),
        wins=tuple(id_ for id_, change in zip(ids, f1, strict=True) if change > 0),
        losses=tuple(id_ for id_, change in zip(ids, f1, strict=True) if change < 0),
    )


def results_frame(results: Iterable[EvalResult]) -> "pd.DataFrame":
    """Return results as a table, a row an episode by its id, costs as columns."""
    import pandas as pd

    nested = ("scores", "costs")
    rows = [
        {
            **{name: getattr(result, name) for name in EvalResult.__slots__ if name not in nested},
            **result.scores,
            "answers": " / ".join(result.answers),
            "end_reason": result.end_reason.value,
            **result.costs,
        }
        for result in results
    ]
    return pd.DataFrame(rows).set_index("episode_id")
