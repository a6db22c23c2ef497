"""Runs in the table of retrievable gradients' authors: a row a data set, and the mean of the rows.

They score the best alias by F1 and round EM, F1, precision and recall to two decimals in percent,
without an interval.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.result import EvalResult
from pmi_kernel.reports.tables import Table
from pmi_kernel.runs.files import RECORD
from pmi_kernel.runs.merge import read_results

_SCORES = {"em": "em", "f1": "f1", "precision": "prec", "recall": "recall"}
"""Our scores by what theirs are called."""


def regrad_table(runs: Sequence[Path]) -> Table:
    """Return the table of some runs, each over any data set.

    Args:
        runs: Run directories, at least one.

    Raises:
        DataError: A run has no results.
    """
    means: list[Mapping[str, float]] = []
    rows: list[tuple[str, ...]] = []
    for run in runs:
        results = read_results(run)
        if not results:
            raise DataError(f"{run} has no results yet")
        mean = regrad_scores(results.values())
        means.append(mean)
        record = RECORD.read(run)
        data = Path(str(record["data_source"])).name if record else "?"
        rows.append((run.resolve().name, data, str(len(results)), *_shown(mean)))
    if len(runs) > 1:
        mean = {
            name: sum(round(one[name], 2) for one in means) / len(means)
            for name in _SCORES.values()
        }
        rows.append(("mean", "", "", *_shown(mean)))
    caption = "Percent, two decimals; of several answers the one of best F1."
    return Table(caption, ("run", "data", "n", *_SCORES.values()), rows)


def regrad_scores(results: Collection[EvalResult]) -> dict[str, float]:
    """Return the mean scores of results, one or more, in percent, by the authors' names."""
    scores = [_scores(result) for result in results]
    return {
        theirs: 100 * sum(one[ours] for one in scores) / len(scores)
        for ours, theirs in _SCORES.items()
    }


def _scores(result: EvalResult) -> Mapping[str, float]:
    """Of a label or a choice right or wrong; else HotpotQA's scores, which they take for all."""
    if result.metric == "labels":
        return result.scores
    found = score_answer(result.prediction, result.answers)
    return {name: getattr(found, name) for name in _SCORES}


def _shown(mean: Mapping[str, float]) -> list[str]:
    return [f"{mean[name]:.2f}" for name in _SCORES.values()]
