"""From the workers' files to one sorted result: every episode once."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pmi_kernel.batch.record import write_json
from pmi_kernel.errors import DataError
from pmi_kernel.records import read_records
from pmi_kernel.types import EvalResult, Probe, Trace

RESULTS, TRACES, ERRORS = "eval_results", "episode_trace", "errors"


def read_results(out: Path) -> dict[str, EvalResult]:
    """Return the results of a run by episode id, in the order of the ids.

    Reads the merged file and every worker's; the same episode counts once, and a torn last line
    does not count.
    """
    found: dict[str, EvalResult] = {}
    for path in sorted(out.glob(f"{RESULTS}*.jsonl")):
        for result in read_records(EvalResult, path):
            found.setdefault(result.episode_id, result)
    return dict(sorted(found.items()))


def merge(out: Path) -> dict[str, EvalResult]:
    """Write `eval_results.jsonl` and `episode_trace.jsonl` from the workers' files.

    Traces are copied line by line, so memory does not grow with their size. An episode has the
    last trace that was written for it: a worker killed between trace and result left one behind.

    Returns:
        The results by episode id.
    """
    from pmi_kernel.records import encode

    results = read_results(out)
    _write_lines(out / f"{RESULTS}.jsonl", (encode(result) for result in results.values()))
    places: dict[str, tuple[Path, int]] = {}
    merged = out / f"{TRACES}.jsonl"
    for path in [merged, *sorted(p for p in out.glob(f"{TRACES}.*.jsonl"))]:
        if path.exists():
            places |= _places(path)
    missing = sorted(set(results) - set(places))
    if missing:
        raise DataError(f"{out}: no trace for episode {missing[0]!r} ({len(missing)} in all)")
    _write_lines(merged, (_line_at(*places[id_]) for id_ in results))
    return results


def _places(path: Path) -> dict[str, tuple[Path, int]]:
    places, offset = {}, 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                places[json.loads(line)["task"]["id"]] = (path, offset)
            offset += len(line)
    return places


def _line_at(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.readline().decode().rstrip("\n")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(line + "\n")
    partial.replace(path)


def write_summary(
    out: Path, record: Mapping[str, Any], *, num_pending: int, num_errors: int, wall_s: float
) -> dict[str, Any]:
    """Write `summary.json` and return it: scores, end reasons, injections, costs, the record."""
    results = list(read_results(out).values())
    summary = {
        **summarize(results),
        "num_pending": num_pending,
        "num_errors": num_errors,
        "wall_s": wall_s,
        "probes": summarize_probes(
            probe
            for trace in read_records(Trace, out / f"{TRACES}.jsonl")
            for probe in trace.probes
        ),
        **record,
    }
    write_json(out / "summary.json", summary)
    return summary


def summarize(results: Iterable[EvalResult]) -> dict[str, Any]:
    """Return means of the scores (in [0, 1]), counts by end reason, and summed costs."""
    results = list(results)
    means = {
        name: sum(getattr(result, name) for result in results) / len(results) if results else None
        for name in ("em", "f1", "precision", "recall", "sub_em")
    }
    costs: Counter[str] = Counter()
    for result in results:
        costs.update(result.costs)
    return {
        "num_episodes": len(results),
        **means,
        "end_reasons": dict(sorted(Counter(r.end_reason.value for r in results).items())),
        "num_searches": sum(r.num_searches for r in results),
        "num_injections": sum(r.num_injections for r in results),
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
