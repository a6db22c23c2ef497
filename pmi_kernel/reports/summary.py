"""A run's summary as a few lines, and the rule by which its episodes ended."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmi_kernel.core.figures import FIGURES, OWN_SCORES, SCORES
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.systems import SYSTEMS, config_class

COUNTS_AS = {"unknown": "unknown", "text": "its text", "": "what is not recorded"}
"""What an output without a whole answer counts as, in words, by the ending rule."""

_MOST_CONFLICTS = 5
"""Most episodes with results that differ that are named one by one."""


def ending_rule(record: Mapping[str, Any]) -> str:
    """Return `SystemConfig.unparsed` of a run's record; empty where there is no record.

    A record of old lacks it: it is then what the system did.
    """
    if not record:
        return ""
    kind = config_class(record["system"]) if record["system"] in SYSTEMS else SystemConfig
    default = kind.model_fields["unparsed"].default
    return str({"unparsed": default, **kind.before, **record["config"]}["unparsed"])


def render_summary(summary: Mapping[str, Any], out: Path) -> str:
    """Return what a run came to, as a few lines."""
    ends = ", ".join(f"{name} {count}" for name, count in summary["end_reasons"].items())
    stages = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds_by_stage"].items())
    names = [*SCORES, *(name for name in (*OWN_SCORES, "macro_f1") if name in summary)]
    scores = [f"{FIGURES[name].label} {FIGURES[name].show(summary[name])}" for name in names]
    lines = [
        f"{summary['system']}: {summary['num_episodes']} episodes done, "
        f"{summary['num_pending']} pending, {summary['num_errors']} failed now",
        f"  {'  '.join(scores)}  (percent; {_by(summary)})",
        f"  ends: {ends or '-'}; searches {summary['num_searches']}, "
        f"injections {summary['num_injections']}; an output without a whole answer counts as "
        f"{COUNTS_AS[ending_rule(summary)]}",
        f"  seconds by stage: {stages or '-'}{_measuring(summary['probes'])}",
    ]
    if totals := {k: v for k, v in summary["totals"].items() if k.endswith("_snippets") and v}:
        lines.append("  " + ", ".join(f"{name} {value:g}" for name, value in totals.items()))
    if probes := summary["probes"]:
        lines.append("  " + _probed(probes))
    lines += _warnings(summary)
    if provenance := summary.get("provenance"):
        lines.append(f"  by {len(provenance) + 1} versions of the program: see its provenance")
    lines.append(f"  written to {out}/ (summary.json, eval_results.jsonl, episode_trace.jsonl)")
    return "\n".join(lines)


def _by(summary: Mapping[str, Any]) -> str:
    """By which metrics the scores are; a summary of old is by HotpotQA's."""
    metrics = list(summary.get("metrics", {})) or ["hotpotqa"]
    if metrics == ["hotpotqa"]:
        return "official HotpotQA EM and F1"
    return f"official metric{'s' if len(metrics) > 1 else ''}: {', '.join(metrics)}"


def _measuring(probes: Mapping[str, Any] | None) -> str:
    """What measuring took, which no stage counts; nothing where it is not recorded."""
    if not probes or "probe_s" not in probes:
        return ""
    figure = FIGURES["probe_s"]
    return f"; {figure.label}, apart from these: {figure.show(probes['probe_s'])}"


def _probed(probes: Mapping[str, Any]) -> str:
    rise = FIGURES["gold_nats_rise"]
    drift = FIGURES["drift_kl_nats"]
    told = (
        f"{probes['num_probed']} injections probed: gold log-probability without evidence "
        f"{rise.show(probes['gold_rise_nats'])} nats "
        f"(rose in {FIGURES['share_risen'].show(probes['share_risen'])} %), "
        f"wrong passage {rise.show(probes['control_rise_nats'])}"
    )
    if probes["drift_kl_nats"] is None:
        return told
    return f"{told}, {drift.label} {drift.show(probes['drift_kl_nats'])} {drift.unit}"


def _warnings(summary: Mapping[str, Any]) -> list[str]:
    """What a reader of the numbers should know about what they came from."""
    lines = []
    if num := summary["totals"].get("diverged"):
        lines.append(
            f"  {num:g} of {summary['num_injections']} memories diverged: their loss rose "
            "(a lower learning rate helps)"
        )
    if num := summary["num_unreadable_lines"]:
        lines.append(
            f"  {num} line{' cannot' if num == 1 else 's cannot'} be read (the first: "
            f"{summary['first_unreadable_line']}); an episode that only such a line had is owed "
            "again"
        )
    conflicts = summary["conflicts"]
    for id_, (kept, *others) in list(conflicts.items())[:_MOST_CONFLICTS]:
        lines.append(f"  {id_!r} has results that differ: {kept} (kept), {', '.join(others)}")
    if len(conflicts) > _MOST_CONFLICTS:
        more = len(conflicts) - _MOST_CONFLICTS
        lines.append(f"  and {more} more episodes, listed in summary.json (conflicts)")
    return lines
