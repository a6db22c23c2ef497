"""Numbers as plain text: tables and a run's summary."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmi_kernel.core.visible import visible_line
from pmi_kernel.episodes.card import ReportCard

if TYPE_CHECKING:
    from pmi_kernel.reports.blame import Blamed
    from pmi_kernel.reports.compare import Comparison
    from pmi_kernel.studies.grid import Grid

_MOST_CONFLICTS = 5
"""Most episodes with results that differ that are named one by one."""


def render_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, max_chars: int = 44
) -> str:
    """Return a table of text columns, each cell cut to `max_chars`."""
    cells = [[_cut(cell, max_chars) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def _cut(text: str, max_chars: int) -> str:
    line = visible_line(text)
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"


def percent(value: float | None) -> str:
    """Return a share as a percentage with one decimal, or a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f}"


def render_summary(summary: Mapping[str, Any], out: Path) -> str:
    """Return what a run came to, as a few lines."""
    ends = ", ".join(f"{name} {count}" for name, count in summary["end_reasons"].items())
    stages = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds_by_stage"].items())
    lines = [
        f"{summary['system']}: {summary['num_episodes']} episodes done, "
        f"{summary['num_pending']} pending, {summary['num_errors']} failed now",
        f"  EM {percent(summary['em'])}  F1 {percent(summary['f1'])}  "
        f"sub-span EM {percent(summary['sub_em'])}  (percent; official HotpotQA EM and F1)",
        f"  ends: {ends or '-'}; searches {summary['num_searches']}, "
        f"injections {summary['num_injections']}",
        f"  seconds by stage: {stages or '-'}",
    ]
    if totals := {k: v for k, v in summary["totals"].items() if k.endswith("_snippets") and v}:
        lines.append("  " + ", ".join(f"{name} {value:g}" for name, value in totals.items()))
    if probes := summary["probes"]:
        control = probes["control_rise_nats"]
        lines.append(
            f"  {probes['num_probed']} injections probed: gold log-probability without evidence "
            f"{probes['gold_rise_nats']:+.2f} nats (rose in {percent(probes['share_risen'])} %), "
            f"wrong passage {'-' if control is None else f'{control:+.2f}'}, "
            f"drift {probes['drift_kl_nats']:.3f} nats per token"
        )
    lines += _warnings(summary)
    if provenance := summary.get("provenance"):
        lines.append(f"  by {len(provenance) + 1} versions of the program: see its provenance")
    lines.append(f"  written to {out}/ (summary.json, eval_results.jsonl, episode_trace.jsonl)")
    return "\n".join(lines)


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


def render_jobs(statuses: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of runs and how far each is; `statuses` as `Job.status` gives them."""
    rows = []
    for name, status in statuses.items():
        done = status.get("done_before", 0) + status.get("done_now", 0)
        rate, eta_s = status.get("episodes_per_min"), status.get("eta_s")
        rows.append(
            (
                name,
                status["state"],
                f"{done}/{status['total']}" if "total" in status else "-",
                str(status.get("failed", "-")),
                f"{rate:.1f}" if rate else "-",
                f"{eta_s:.0f}" if eta_s and status["state"] == "running" else "-",
            )
        )
    return render_table(("run", "state", "done", "failed", "episodes/min", "seconds left"), rows)


def render_runs(summaries: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return a table of runs; `summaries` as in `summary.json`, None where that is damaged."""
    rows = [
        (
            name,
            summary["system"],
            Path(summary["engine"]["model"]).name,
            str(summary["num_episodes"]),
            str(summary["num_pending"]),
            percent(summary["em"]),
            percent(summary["f1"]),
            summary["data"]["sha256"][:8],
            str(summary["git"]["commit"])[:8] + ("+" if summary["git"]["is_dirty"] else ""),
        )
        if summary is not None
        else (name, "broken", *["-"] * 7)
        for name, summary in summaries.items()
    ]
    header = ("run", "system", "model", "done", "owed", "EM", "F1", "data", "commit")
    return render_table(header, rows)


def render_comparison(comparison: "Comparison") -> str:
    """Return runs side by side, and each against the first."""
    text = f"{render_table(*comparison.score_table())}\n\n{comparison.caption}"
    if comparison.differences:
        text += "\n\n" + render_table(*comparison.difference_table())
    return text


def render_grid(grid: "Grid") -> str:
    """Return the grid's comparison, and what the injection recovers of the gap."""
    lines = [
        f"{name}: " + ("-" if share is None else f"{100 * share:.0f} %")
        for name, share in grid.recovered.items()
    ]
    return (
        render_comparison(grid.comparison)
        + "\n\nShare of the F1 gap between closed book and in context that is recovered "
        + "(- where there is no gap):\n  "
        + "\n  ".join(lines)
    )


def card_rows(card: ReportCard) -> list[tuple[str, str, str, str]]:
    """Return a report card's figures: label, before, after, after the wrong passage."""
    return [
        (
            label,
            _figure(one.before, is_share),
            _figure(one.after, is_share),
            _figure(one.wrong, is_share),
        )
        for label, one, is_share in card.contrasts()
    ]


def card_facts(card: ReportCard) -> list[tuple[str, str]]:
    """Return the rest of a report card, each with its name: locality, restore, cost."""
    same = "" if card.same_tokens is None else f", {percent(card.same_tokens)} % of tokens the same"
    restored = {True: "bit-equal", False: "NOT what they were", None: "not checked"}
    detach = "" if card.detach_s is None else f", detach {card.detach_s:.3f} s"
    return [
        ("drift on unrelated texts", f"{card.drift_kl_nats:.3f} nats per token{same}"),
        ("rephrasings", str(card.num_rephrasings or "none")),
        ("base scores after the episode", restored[card.is_restored]),
        (
            "cost",
            f"write {card.write_s:.2f} s, train {card.train_s:.2f} s, "
            f"attach {card.attach_s:.3f} s{detach}; {card.probe_s:.1f} s to measure this",
        ),
        ("memory", f"{card.attached_bytes / 1e6:.1f} MB, {card.train_tokens:g} tokens trained"),
    ]


def render_card(card: ReportCard) -> str:
    """Return one report card as text."""
    table = render_table(("asked alone", "before", "after", "wrong passage"), card_rows(card))
    return "\n".join([table, *(f"{name}: {value}" for name, value in card_facts(card))])


def _figure(value: float | None, is_share: bool) -> str:
    return percent(value) if is_share or value is None else f"{value:.2f}"


def render_blame(episodes: Sequence["Blamed"]) -> str:
    """Return how many episodes each stage is blamed for, with a few of their ids."""
    rows = []
    for kind in dict.fromkeys(type(episodes[0].blame)):
        ids = [episode.episode_id for episode in episodes if episode.blame is kind]
        if ids:
            share = percent(len(ids) / len(episodes))
            rows.append((kind.value, str(len(ids)), share, ", ".join(ids[:3])))
    table = render_table(("stage", "n", "percent", "for example"), rows, max_chars=60)
    return f"{len(episodes)} episodes, each put down to the first stage that failed\n\n{table}"
