"""Runs side by side on the episodes that they share, with intervals and tests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.figures import FIGURES, OWN_SCORES, SCORES
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.scoring import is_labelled, macro_f1
from pmi_kernel.reports.intervals import Interval, bootstrap, mcnemar, mean_of
from pmi_kernel.reports.summary import COUNTS_AS, ending_rule
from pmi_kernel.reports.tables import Table, render_table
from pmi_kernel.runs.files import RECORD
from pmi_kernel.runs.merge import read_results

if TYPE_CHECKING:
    import pandas as pd

COSTS = ("seconds_s", "tokens", "attached_mb")
"""The costs that are shown beside the scores."""


@dataclass(frozen=True, slots=True)
class RunScores:
    """One run on the common episodes.

    Attributes:
        name: Its folder.
        system: Its system.
        unparsed: Its ending rule (`SystemConfig.unparsed`); empty where that is not recorded.
        num_episodes: The common episodes.
        em: Official exact match.
        f1: Official F1.
        sub_em: Sub-span exact match.
        own: The data set's own scores, where every episode has them.
        macro_f1: Mean of the labels' F1; None where not every answer is a label.
        seconds_s: Mean seconds per episode, all stages.
        tokens: Mean tokens per episode, prompts, outputs and training.
        attached_mb: Mean megabytes of memory attached per episode.
    """

    name: str
    system: str
    unparsed: str
    num_episodes: int
    em: Interval
    f1: Interval
    sub_em: Interval
    own: Mapping[str, Interval]
    macro_f1: float | None
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

    def tables(self) -> dict[str, Table]:
        """Return the scores with the costs, and each run minus the first, paired by episode."""
        own = [name for name in OWN_SCORES if all(name in run.own for run in self.runs)]
        macro = ["macro_f1"] if all(run.macro_f1 is not None for run in self.runs) else []
        scores = [
            (
                run.name,
                str(run.num_episodes),
                *(getattr(run, name).show(name) for name in SCORES),
                *(run.own[name].show(name) for name in own),
                *(FIGURES[name].show(run.macro_f1) for name in macro),
                *(FIGURES[name].show(getattr(run, name)) for name in COSTS),
            )
            for run in self.runs
        ]
        differences = [
            (
                f"{one.name} - {one.against}",
                one.em.show("em"),
                one.f1.show("f1"),
                f"{one.mcnemar_p:.3f}",
                str(len(one.wins)),
                str(len(one.losses)),
            )
            for one in self.differences
        ]
        labels = [FIGURES[name].label for name in (*SCORES, *own, *macro, *COSTS)]
        tables = {"scores": Table(self.caption, ("run", "n", *labels), scores)}
        if differences:
            columns = ("paired difference", *labels[:2], "McNemar p", "wins", "losses")
            tables["differences"] = Table("Each run against the first.", columns, differences)
        return tables

    def render(self) -> str:
        """Return the comparison as text."""
        scores, *rest = [render_table(one.columns, one.rows) for one in self.tables().values()]
        return "\n\n".join([scores, self.caption, *rest])

    @property
    def caption(self) -> str:
        """What the numbers are."""
        text = "Percent with 95 % intervals; seconds, tokens and MB are per episode."
        if self.num_left_out:
            text += f" {self.num_left_out} episodes that not all runs have are left out."
        if len({run.unparsed for run in self.runs}) > 1:
            rules = _rules({run.name: run.unparsed for run in self.runs})
            text += f" An output without a whole answer counts as {rules}."
        return text

    def frame(self) -> "pd.DataFrame":
        """Return the comparison as a table, a row a run; scores in percent."""
        import pandas as pd

        rows = []
        against = {difference.name: difference for difference in self.differences}
        for run in self.runs:
            row: dict[str, Any] = {"run": run.name, "system": run.system, "n": run.num_episodes}
            for name in SCORES:
                row |= _percent(FIGURES[name].label, getattr(run, name))
            for name, score in run.own.items():
                row |= _percent(FIGURES[name].label, score)
            if run.macro_f1 is not None:
                row[FIGURES["macro_f1"].label] = 100 * run.macro_f1
            row |= {FIGURES[name].unit: getattr(run, name) for name in COSTS}
            if difference := against.get(run.name):
                row |= {
                    **_percent(f"{FIGURES['f1'].label} difference", difference.f1),
                    "McNemar p": difference.mcnemar_p,
                    "wins": len(difference.wins),
                    "losses": len(difference.losses),
                }
            rows.append(row)
        return pd.DataFrame(rows)


def compare(runs: Sequence[Path], *, is_forced: bool = False, seed: int = 0) -> Comparison:
    """Compare runs on the episodes that all of them have.

    Args:
        runs: Run directories, at least one; the first is what the others are held against.
        is_forced: Compare runs over different data files too, by episode id, and runs that end by
            different rules.
        seed: Seeds the resampling.

    Raises:
        DataError: A run has no results, or they share no episode.
        ConfigError: They ran over different data, or an output without a whole answer counts as
            something else in one of them.
    """
    records: dict[Path, Mapping[str, Any]] = {run: RECORD.read(run) or {} for run in runs}
    if not is_forced:
        _check_comparable(records)
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
        run_scores(names[run], records[run], [results[run][id_] for id_ in common]) for run in runs
    ]
    everything = set().union(*results.values())
    return Comparison(tuple(scores), tuple(differences), len(everything) - len(common))


def _check_comparable(records: Mapping[Path, Mapping[str, Any]]) -> None:
    hashes = {run: record.get("data", {}).get("sha256") for run, record in records.items()}
    if len(set(hashes.values())) > 1:
        shown = ", ".join(f"{run}: {str(value)[:12]}" for run, value in hashes.items())
        raise ConfigError(f"the runs are over different data ({shown}); by force, ids decide")
    rules = {str(run): ending_rule(record) for run, record in records.items()}
    if len(set(rules.values())) > 1:
        raise ConfigError(
            f"the runs differ in their ending rule (unparsed): without a whole answer an output "
            f"counts as {_rules(rules)}; run one of them again, or compare them by force"
        )


def _rules(rules: Mapping[str, str]) -> str:
    return ", ".join(f"{COUNTS_AS[rule]} in {run}" for run, rule in rules.items())


def _names(runs: Sequence[Path]) -> dict[Path, str]:
    """Folder names, or paths where two folders have the same name."""
    names = [run.resolve().name for run in runs]
    return {
        run: name if names.count(name) == 1 else str(run)
        for run, name in zip(runs, names, strict=True)
    }


def run_scores(name: str, record: Mapping[str, Any], results: Sequence[EvalResult]) -> RunScores:
    """Return what a run came to on some of its episodes.

    Args:
        name: What it is called.
        record: Its record, empty where there is none.
        results: At least one.
    """

    def mean_cost(suffix: str) -> float:
        sums = [sum(v for k, v in r.costs.items() if k.endswith(suffix)) for r in results]
        return sum(sums) / len(sums)

    def mean(score: str) -> Interval:
        return mean_of(score, [result.scores[score] for result in results])

    return RunScores(
        name=name,
        system=record.get("system", "?"),
        unparsed=ending_rule(record),
        num_episodes=len(results),
        em=mean("em"),
        f1=mean("f1"),
        sub_em=mean("sub_em"),
        own={
            name: mean(name)
            for name in OWN_SCORES
            if all(name in result.scores for result in results)
        },
        macro_f1=macro_f1((result.answers[0], result.prediction) for result in results)
        if all(map(is_labelled, results))
        else None,
        seconds_s=mean_cost("_s"),
        tokens=mean_cost("_tokens"),
        attached_mb=mean_cost("_bytes") / 1e6,
    )


def _percent(label: str, score: Interval) -> dict[str, float]:
    return {
        label: 100 * score.mean,
        f"{label} low": 100 * score.low,
        f"{label} high": 100 * score.high,
    }


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
