"""From the workers' files to one sorted result: every episode once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pmi_kernel.core.figures import OWN_SCORES
from pmi_kernel.core.folder import write_json
from pmi_kernel.core.probe import Probe
from pmi_kernel.core.records import read_records, read_whole
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.scoring import is_labelled, macro_f1
from pmi_kernel.core.trace import Trace

RESULTS, TRACES, ERRORS = "eval_results", "episode_trace", "errors"


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to.

    Attributes:
        ids: Episodes that are done.
        conflicts: Where the results of an episode are that has several, which differ in more than
            time, by its id; the first one is kept: that of the first file in the order of the
            names.
        num_unreadable: Lines that are torn or of another layout; their episodes are owed again,
            unless another file has them.
        unreadable: Where the first of those lines is; empty where there is none.
    """

    ids: frozenset[str]
    conflicts: Mapping[str, tuple[str, ...]]
    num_unreadable: int
    unreadable: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an episode's two lines are, and what it came to."""

    result: tuple[Path, int]
    trace: tuple[Path, int]
    outcome: int


class _Scan:
    """Every line of a run's files: which episodes are done, and what is wrong with the rest.

    An episode is done when a result and its trace both decode whole. The trace is taken from the
    worker that wrote the result: another worker, killed between the two, may have left a trace of
    its own. Of several results the first file's counts, and within a file the last one.
    """

    def __init__(self, out: Path) -> None:
        self.places: dict[str, _Place] = {}
        self.unreadable: list[str] = []
        self._seen: dict[str, dict[int, str]] = {}  # where each outcome was seen first
        files = sorted(out.glob(f"{RESULTS}.*.jsonl"))
        if (out / f"{RESULTS}.jsonl").exists():
            files.append(out / f"{RESULTS}.jsonl")
        for path in files:
            self._read(path, path.with_name(path.name.replace(RESULTS, TRACES, 1)))

    @property
    def conflicts(self) -> dict[str, tuple[str, ...]]:
        """See `Merged`."""
        return {
            id_: (seen[kept], *(place for outcome, place in seen.items() if outcome != kept))
            for id_, seen in self._seen.items()
            if len(seen) > 1 and id_ in self.places
            for kept in [self.places[id_].outcome]
        }

    def _read(self, path: Path, twin: Path) -> None:
        results: dict[str, tuple[int, int]] = {}
        for line, result in read_whole(EvalResult, path, self.unreadable):
            outcome = hash(_timeless(result))
            results[result.episode_id] = line.offset, outcome
            seen = self._seen.setdefault(result.episode_id, {})
            seen.setdefault(outcome, f"{path.name}:{line.number}")
        traces: dict[str, int] = {}
        if (owed := results.keys() - self.places.keys()) and twin.exists():
            for line, trace in read_whole(Trace, twin, self.unreadable):
                traces[trace.task.id] = line.offset
        for id_ in owed & traces.keys():
            offset, outcome = results[id_]
            self.places[id_] = _Place((path, offset), (twin, traces[id_]), outcome)


def _timeless(result: EvalResult) -> str:
    """What a result says, without what differs from one time to another."""
    costs = {k: v for k, v in sorted(result.costs.items()) if not k.endswith("_s")}
    return repr(replace(result, costs=costs))


def done_ids(out: Path) -> set[str]:
    """Return the ids of the episodes that are done; a torn line does not count."""
    return set(_Scan(out).places)


def read_results(out: Path) -> dict[str, EvalResult]:
    """Return the merged results of a run by episode id; none where nothing was merged yet."""
    path = out / f"{RESULTS}.jsonl"
    if not path.exists():
        return {}
    return {result.episode_id: result for result in read_records(EvalResult, path)}


def merge(out: Path) -> Merged:
    """Write `eval_results.jsonl` and `episode_trace.jsonl` from the workers' files.

    Lines are copied as they stand, sorted by episode id, so memory does not grow with their size.
    Both files are whole before either takes its name.
    """
    scan = _Scan(out)
    places = [scan.places[id_] for id_ in sorted(scan.places)]
    merged = {
        # The trace first: a result without its trace would not count as done.
        out / f"{TRACES}.jsonl": [place.trace for place in places],
        out / f"{RESULTS}.jsonl": [place.result for place in places],
    }
    partials = {path: _copy_lines(path, lines) for path, lines in merged.items()}
    for path, partial in partials.items():
        partial.replace(path)
    first = next(iter(scan.unreadable), "")
    return Merged(frozenset(scan.places), scan.conflicts, len(scan.unreadable), first)


def _copy_lines(path: Path, places: Iterable[tuple[Path, int]]) -> Path:
    """Write the lines beside `path`, and return where."""
    partial = path.with_name(path.name + ".partial")
    sources: dict[Path, Any] = {}
    try:
        with partial.open("wb") as target:
            for source, offset in places:
                file = sources.get(source) or sources.setdefault(source, source.open("rb"))
                file.seek(offset)
                target.write(file.readline())
    finally:
        for file in sources.values():
            file.close()
    return partial


def write_summary(
    out: Path,
    record: Mapping[str, Any],
    merged: Merged,
    *,
    num_pending: int,
    num_errors: int,
    wall_s: float,
) -> dict[str, Any]:
    """Write `summary.json` from the merged files and return it: scores, ends, costs, the record."""
    summary = {
        **summarize(_records(EvalResult, out / f"{RESULTS}.jsonl")),
        "num_pending": num_pending,
        "num_errors": num_errors,
        "conflicts": merged.conflicts,
        "num_unreadable_lines": merged.num_unreadable,
        "first_unreadable_line": merged.unreadable,
        "wall_s": wall_s,
        "probes": summarize_probes(
            probe for trace in _records(Trace, out / f"{TRACES}.jsonl") for probe in trace.probes
        )
        if record["probe"]
        else None,
        **record,
    }
    write_json(out / "summary.json", summary)
    return summary


def _records(kind: type, path: Path) -> Iterator[Any]:
    return read_records(kind, path) if path.exists() else iter(())


def write_worker_summaries(out: Path) -> None:
    """Write each worker's `summary.NAME.json`: what it did over all calls of the run."""
    for path in out.glob(f"{RESULTS}.*.jsonl"):
        name = path.name.removeprefix(f"{RESULTS}.").removesuffix(".jsonl")
        results = {one.episode_id: one for _, one in read_whole(EvalResult, path, [])}
        write_json(out / f"summary.{name}.json", summarize(results.values()))


def summarize(results: Iterable[EvalResult]) -> dict[str, Any]:
    """Return means of the scores (in [0, 1]), counts by end reason, and summed costs.

    A data set's own scores are there where an episode has them: each is the mean over those, and
    `macro_f1` that of the labels among them.
    """
    scores = ("em", "f1", "precision", "recall", "sub_em")
    sums, ends, costs = Counter[str](), Counter[str](), Counter[str]()
    own, metrics = defaultdict[str, list[float]](list), Counter[str]()
    labels: list[tuple[str, str]] = []
    num_episodes = 0
    for result in results:
        num_episodes += 1
        sums.update({name: result.scores[name] for name in scores})
        metrics[result.metric] += 1
        for name in OWN_SCORES:
            if name in result.scores:
                own[name].append(result.scores[name])
        if is_labelled(result):
            labels.append((result.answers[0], result.prediction))
        sums.update(searches=result.num_searches, injections=result.num_injections)
        ends[result.end_reason.value] += 1
        costs.update(result.costs)
    return {
        "num_episodes": num_episodes,
        **{name: sums[name] / num_episodes if num_episodes else None for name in scores},
        **{name: sum(values) / len(values) for name, values in own.items()},
        **({"macro_f1": macro_f1(labels)} if labels else {}),
        "metrics": dict(sorted(metrics.items())),
        "end_reasons": dict(sorted(ends.items())),
        "num_searches": sums["searches"],
        "num_injections": sums["injections"],
        "seconds_by_stage": {k.removesuffix("_s"): v for k, v in costs.items() if k.endswith("_s")},
        "totals": {k: v for k, v in costs.items() if not k.endswith("_s")},
    }


def summarize_probes(probes: Iterable[Probe]) -> dict[str, Any] | None:
    """Return what the injections did on average; None where none was probed.

    `gold_rise_nats` is the mean rise of the gold answer's log-probability without evidence in the
    prompt, `control_rise_nats` the same for the wrong passage, and `share_risen` the share of
    injections under which it rose; `probe_s` is the sum of what measuring took, seconds.
    """
    probes = list(probes)
    if not probes:
        return None
    rises = [
        p.after.gold_no_evidence.total_nats - p.before.gold_no_evidence.total_nats for p in probes
    ]
    controls = [
        p.control.gold_no_evidence.total_nats - p.before.gold_no_evidence.total_nats
        for p in probes
        if p.control is not None
    ]
    drifts = [p.drift_kl_nats for p in probes if p.drift_kl_nats is not None]
    return {
        "num_probed": len(probes),
        "gold_rise_nats": sum(rises) / len(rises),
        "share_risen": sum(rise > 0 for rise in rises) / len(rises),
        "control_rise_nats": sum(controls) / len(controls) if controls else None,
        "drift_kl_nats": sum(drifts) / len(drifts) if drifts else None,
        "probe_s": sum(probe.probe_s for probe in probes),
    }
