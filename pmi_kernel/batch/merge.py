"""From the workers' files to one sorted result: every episode once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmi_kernel.batch.record import write_json
from pmi_kernel.records import line_places, read_records
from pmi_kernel.types import EvalResult, Probe, Trace

RESULTS, TRACES, ERRORS = "eval_results", "episode_trace", "errors"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an episode's two lines are."""

    result: tuple[Path, int]
    trace: tuple[Path, int]


def _places(out: Path) -> dict[str, _Place]:
    """Where each episode that is done is, by id; it is done when result and trace are both whole.

    The trace is taken from the worker that wrote the result: another worker, killed between the
    two, may have left a trace of its own.
    """
    found: dict[str, _Place] = {}
    files = sorted(out.glob(f"{RESULTS}.*.jsonl"))
    if (out / f"{RESULTS}.jsonl").exists():
        files.append(out / f"{RESULTS}.jsonl")
    for path in files:
        twin = path.with_name(path.name.replace(RESULTS, TRACES, 1))
        traces = line_places(twin) if twin.exists() else {}
        for episode_id, offset in line_places(path).items():
            if episode_id in traces and episode_id not in found:
                found[episode_id] = _Place((path, offset), (twin, traces[episode_id]))
    return found


def done_ids(out: Path) -> set[str]:
    """Return the ids of the episodes that are done; a torn line does not count."""
    return set(_places(out))


def read_results(out: Path) -> dict[str, EvalResult]:
    """Return the merged results of a run by episode id; none where nothing was merged yet."""
    path = out / f"{RESULTS}.jsonl"
    if not path.exists():
        return {}
    return {result.episode_id: result for result in read_records(EvalResult, path)}


def merge(out: Path) -> int:
    """Write `eval_results.jsonl` and `episode_trace.jsonl` from the workers' files.

    Lines are copied as they stand, sorted by episode id, so memory does not grow with their size.

    Returns:
        How many episodes there are.
    """
    places = dict(sorted(_places(out).items()))
    _copy_lines(out / f"{RESULTS}.jsonl", (place.result for place in places.values()))
    _copy_lines(out / f"{TRACES}.jsonl", (place.trace for place in places.values()))
    return len(places)


def _copy_lines(path: Path, places: Iterable[tuple[Path, int]]) -> None:
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
    partial.replace(path)


def write_summary(
    out: Path, record: Mapping[str, Any], *, num_pending: int, num_errors: int, wall_s: float
) -> dict[str, Any]:
    """Write `summary.json` from the merged files and return it: scores, ends, costs, the record."""
    summary = {
        **summarize(_records(EvalResult, out / f"{RESULTS}.jsonl")),
        "num_pending": num_pending,
        "num_errors": num_errors,
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
        write_json(out / f"summary.{name}.json", summarize(read_records(EvalResult, path)))


def summarize(results: Iterable[EvalResult]) -> dict[str, Any]:
    """Return means of the scores (in [0, 1]), counts by end reason, and summed costs."""
    scores = ("em", "f1", "precision", "recall", "sub_em")
    sums, ends, costs = Counter[str](), Counter[str](), Counter[str]()
    num_episodes = 0
    for result in results:
        num_episodes += 1
        sums.update({name: getattr(result, name) for name in scores})
        sums.update(searches=result.num_searches, injections=result.num_injections)
        ends[result.end_reason.value] += 1
        costs.update(result.costs)
    return {
        "num_episodes": num_episodes,
        **{name: sums[name] / num_episodes if num_episodes else None for name in scores},
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
    injections under which it rose.
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
    return {
        "num_probed": len(probes),
        "gold_rise_nats": sum(rises) / len(rises),
        "share_risen": sum(rise > 0 for rise in rises) / len(rises),
        "control_rise_nats": sum(controls) / len(controls) if controls else None,
        "drift_kl_nats": sum(p.drift_kl_nats for p in probes) / len(probes),
    }
