"""Answers by where the gold document stands: lost in the middle, or not (Liu et al. 2023).

Runs over other data, another order of the same documents say, stand side by side: each row says
what it is of. Runs of one system under the same settings are one line.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.figures import FIGURES, SCORES
from pmi_kernel.core.result import EvalResult
from pmi_kernel.reports.intervals import Interval, mean_of
from pmi_kernel.reports.tables import Table
from pmi_kernel.runs.files import RECORD
from pmi_kernel.runs.merge import read_results


@dataclass(frozen=True, slots=True)
class Position:
    """What was answered where the gold document stood at one place.

    Attributes:
        name: The system, with the settings in which the runs differ.
        num_documents: Documents of each question.
        gold_position: Place of the first gold one, from 0.
        scores: Each score's mean, by name.
    """

    name: str
    num_documents: int
    gold_position: int
    scores: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Positions:
    """All that was found, and what was not placed.

    Attributes:
        points: By name, number of documents and place.
        num_unplaced: Results without a gold document among those of the question.
    """

    points: tuple[Position, ...]
    num_unplaced: int

    def table(self) -> Table:
        """Return a row for each point."""
        rows = [
            (
                one.name,
                str(one.num_documents),
                str(one.gold_position),
                str(one.scores["em"].n),
                *(one.scores[name].show(name) for name in SCORES),
            )
            for one in self.points
        ]
        caption = "Percent with 95 % intervals, by the place of the first gold document, from 0."
        if self.num_unplaced:
            caption += f" {self.num_unplaced} results have no gold document and are left out."
        labels = (FIGURES[name].label for name in SCORES)
        return Table(caption, ("system", "documents", "gold at", "n", *labels), rows)


def by_position(runs: Sequence[Path]) -> Positions:
    """Return the scores of runs by the place of the gold document.

    Args:
        runs: Run directories, at least one, each over any data.

    Raises:
        DataError: A run has no results, or no result tells where the gold document stands.
    """
    names = _names({run: RECORD.read(run) or {} for run in runs})
    found: dict[tuple[str, int, int], list[EvalResult]] = defaultdict(list)
    num_unplaced = 0
    for run in runs:
        results = read_results(run)
        if not results:
            raise DataError(f"{run} has no results yet")
        for result in results.values():
            if result.gold_position is None:
                num_unplaced += 1
            else:
                key = names[run], result.num_documents, result.gold_position
                found[key].append(result)
    if not found:
        raise DataError(
            f"none of {num_unplaced} results tells where the gold document stands: the data name "
            "no supporting paragraph, or the runs are older than that is recorded"
        )
    points = (
        Position(*key, {name: mean_of(name, [r.scores[name] for r in own]) for name in SCORES})
        for key, own in sorted(found.items())
    )
    return Positions(tuple(points), num_unplaced)


def _names(records: Mapping[Path, Mapping[str, Any]]) -> dict[Path, str]:
    """Each run's system, with those of its settings that differ between runs of that system."""
    configs = {run: dict(record.get("config", {})) for run, record in records.items()}
    systems = {run: str(record.get("system", "?")) for run, record in records.items()}
    names: dict[Path, str] = {}
    for run, config in configs.items():
        peers = [configs[other] for other in configs if systems[other] == systems[run]]
        differing = [
            key
            for key in sorted({key for one in peers for key in one})
            if len({repr(one.get(key)) for one in peers}) > 1
        ]
        told = [f"{key} {_short(config.get(key))}" for key in differing]
        names[run] = ", ".join([systems[run], *told])
    return names


def _short(value: object) -> str:
    """A value in a name: of a path its last part."""
    text = str(value)
    return Path(text).name if "/" in text else text or "none"
