"""What the GPU check leaves: one JSON file and one page, written anew after every check."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pmi_kernel.studies.gpu_check.supervise import Outcome, Result

_HEADLINES = (
    ("swap, hot: attach + detach", "swap", ("hf_hot_attach_s", "hf_hot_detach_s"), "s"),
    ("swap, inplace", "swap", ("hf_inplace_attach_s", "hf_inplace_detach_s"), "s"),
    ("swap, merge_reload", "swap", ("hf_merge_reload_attach_s", "hf_merge_reload_detach_s"), "s"),
    ("injections (trained, attached) per second, K = 1", "injections", ("k1_per_s",), "/s"),
    ("injections per second, K = 16", "injections", ("k16_per_s",), "/s"),
    ("injections per second, K = 64", "injections", ("k64_per_s",), "/s"),
    ("decoding without adapters", "tokens", ("base_tokens_per_s",), "tokens/s"),
    ("decoding, an adapter a row", "tokens", ("ours_tokens_per_s",), "tokens/s"),
    ("decoding, an adapter a row, PEFT", "tokens", ("peft_tokens_per_s",), "tokens/s"),
    ("whole job, original procedure", "job", ("original_per_min",), "episodes/min"),
    ("whole job, hot, one at a time", "job", ("hot_1_per_min",), "episodes/min"),
    ("whole job, hot, 16 at once", "job", ("hot_16_per_min",), "episodes/min"),
    ("whole job, hot, two workers", "job", ("hot_two_workers_per_min",), "episodes/min"),
    ("whole job, vLLM, 16 at once", "vllm_job", ("hot_16_per_min",), "episodes/min"),
)
"""What the page shows first: words, check, measures to add up, unit."""


def make_report(
    facts: Mapping[str, Any], results: Sequence[Result], *, num_checks: int
) -> dict[str, Any]:
    """Return the report as plain values.

    Args:
        facts: What was run, where, with which model.
        results: What became of the checks so far.
        num_checks: How many there will be.
    """
    measured = {result.check.name: result.measures for result in results}
    headlines = [
        {"what": what, "value": sum(measured[check][name] for name in names), "unit": unit}
        for what, check, names, unit in _HEADLINES
        if all(measured.get(check, {}).get(name) is not None for name in names)
    ]
    peaks = {"GPU": "peak_cuda_bytes", "main": "peak_rss_bytes"}
    headlines += [
        {"what": f"peak {kind} memory", "value": most / 1e6, "unit": "MB"}
        for kind, name in peaks.items()
        if (most := max((getattr(result, name) for result in results), default=0))
    ]
    return {
        "kind": "gpu_check",
        "schema": 1,
        "verdict": verdict(results),
        "num_checks": num_checks,
        "facts": dict(facts),
        "headlines": headlines,
        "checks": [_row(result) for result in results],
    }


def verdict(results: Sequence[Result]) -> str:
    """Return `failed` where a check did not pass, `nothing run` where all were skipped."""
    outcomes = {result.outcome for result in results} - {Outcome.SKIPPED}
    if not outcomes:
        return "nothing run"
    return "passed" if outcomes == {Outcome.PASSED} else "failed"


def write_report(report: Mapping[str, Any], out: Path) -> None:
    """Write `gpu_check.json` and `gpu_check.html` into a folder, each whole or not at all."""
    from jinja2 import Environment

    from pmi_kernel.engines.models import write_whole

    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(template).render(report)
    write_whole(out / "gpu_check.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    write_whole(out / "gpu_check.html", page)


def _row(result: Result) -> dict[str, Any]:
    row = asdict(result)
    check = row.pop("check")
    return {name: check[name] for name in ("name", "shows", "bounds", "limit_s")} | row
