"""Many runs as rows: what they came to, and the settings in which they differ."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pmi_kernel.core.errors import DataError, PmiError
from pmi_kernel.core.records import read_whole
from pmi_kernel.core.result import EvalResult
from pmi_kernel.jobs import Job
from pmi_kernel.reports.intervals import Interval, mean_of
from pmi_kernel.runs.files import RECORD
from pmi_kernel.systems import SYSTEMS, config_class

SCORES = ("em", "f1")


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run.

    Attributes:
        out: Its folder.
        state: How far it is, as `pmi jobs` has it.
        total: How many episodes it is to have; None where nobody said.
        settings: System, data and every setting of the system, as text.
        scores: Means with their 95 % intervals, by name; none before the first episode.
        results: Its episodes by id, in the order of their ids.
        unreadable: Where the lines are that no result could be read from.
    """

    out: Path
    state: str
    total: int | None
    settings: Mapping[str, str]
    scores: Mapping[str, Interval]
    results: Mapping[str, EvalResult]
    unreadable: Sequence[str]

    @property
    def mean_s(self) -> float | None:
        """Seconds of an episode, the mean; None before the first one."""
        spent_s = [seconds_of(result) for result in self.results.values()]
        return sum(spent_s) / len(spent_s) if spent_s else None


def seconds_of(result: EvalResult) -> float:
    """Return the seconds of all stages of an episode."""
    return sum(value for name, value in result.costs.items() if name.endswith("_s"))


def read_run(out: Path) -> RunRow:
    """Return a run as it stands; it may still be going on.

    Raises:
        PmiError: The folder holds no run, or its record cannot be read.
    """
    record = RECORD.read(out) if out.is_dir() else None
    if record is None:
        raise DataError(f"{out}: no run is there (a run's folder has a {RECORD.name})")
    status = Job(out).status()
    results: dict[str, EvalResult] = {}
    unreadable: list[str] = []
    for path in sorted(out.glob("eval_results*.jsonl"), reverse=True):
        read = read_whole(EvalResult, path, unreadable)
        results |= {result.episode_id: result for _, result in read}
    results = dict(sorted(results.items()))
    return RunRow(
        out,
        str(status["state"]).replace("_", " "),
        status.get("total"),
        _settings(record),
        {
            name: mean_of(name, [one.scores[name] for one in results.values()])
            for name in SCORES
            if results
        },
        results,
        unreadable,
    )


def differing(rows: Iterable[RunRow]) -> list[str]:
    """Return the settings in which runs that have them differ, in the order of the settings."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.settings.items():
            values.setdefault(name, set()).add(value)
    return [name for name, found in values.items() if len(found) > 1]


def so_far(row: RunRow, score: str, most: int = 400) -> tuple[Sequence[int], Sequence[float]]:
    """Return how the mean of a score, or the sum of the seconds, went over a run's episodes.

    Args:
        row: The run; its episodes are taken in the order of their ids, so that runs over the same
            questions can be laid over each other.
        score: Its name; `seconds` for those, summed up.
        most: Points at most; of more, some are left out.

    Returns:
        How many episodes were counted, and what they came to.
    """
    total, counts, values = 0.0, [], []
    every = -(-len(row.results) // most) or 1
    for count, result in enumerate(row.results.values(), start=1):
        total += seconds_of(result) if score == "seconds" else result.scores[score]
        if count % every == 0 or count == len(row.results):
            counts.append(count)
            values.append(total if score == "seconds" else total / count)
    return counts, values


def _settings(record: Mapping[str, object]) -> dict[str, str]:
    """Every setting as text; those that an older record lacks as they were then."""
    system, config = str(record["system"]), dict(record["config"])  # type: ignore[call-overload]
    if system in SYSTEMS:
        with suppress(PmiError):  # one that is none of today's is shown as it was written
            config = config_class(system).recorded(config).model_dump(mode="json")
    said = {"system": system, "data": record["data_source"], **config}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in said.items()
    }
