"""A trace as plain text, for a terminal."""

import textwrap

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.trace import Trace
from pmi_kernel.core.visible import visible
from pmi_kernel.episodes.card import report_cards
from pmi_kernel.reports.cards import render_card
from pmi_kernel.reports.pages.kinds import page_of

_WIDTH = 96


def render_trace(trace: Trace, result: EvalResult | None = None) -> str:
    """Return a trace as text: each step, and what each injection did."""
    probes = {probe.step: probe for probe in trace.probes}
    gold = result.gold if result else None
    cards = dict(zip(probes, report_cards(trace, gold) if gold else (), strict=False))
    lines = [_fold(f"{trace.task.id} ({trace.system}): {trace.task.question}")]
    if trace.task.form.options:
        lines += [_fold(option, "   ") for option in trace.task.form.allowed]
    for step in trace.steps:
        lines += ["", f"{step.index + 1}. {step.kind}"]
        lines += [_fold(part, "   ") for part in page_of(step).text(step)]
        if probe := probes.get(step.index):
            before, after = probe.before, probe.after
            nats, drift = FIGURES["asked_gold_nats"], FIGURES["drift_kl_nats"]
            moved = f"; {drift.label} {drift.show(probe.drift_kl_nats)} {drift.unit}"
            lines += [
                f"   asked without evidence: {before.answer_no_evidence!r} before, "
                f"{after.answer_no_evidence!r} after",
                f"   {nats.label}: {nats.show(before.gold_no_evidence.total_nats)} before, "
                f"{nats.show(after.gold_no_evidence.total_nats)} after ({nats.unit})"
                + (moved if probe.drift_kl_nats is not None else ""),
            ]
        if card := cards.get(step.index):
            lines += ["", textwrap.indent(render_card(card), "   ")]
    if trace.probe_s:
        figure = FIGURES["probe_s"]
        lines += ["", f"{figure.label}: {figure.show(trace.probe_s)} {figure.unit}"]
    if result:
        scores = (
            f"{FIGURES[name].label} {FIGURES[name].show_score(result.scores[name])}"
            for name in ("em", "f1")
        )
        told = " / ".join(map(trace.task.form.given, result.answers))
        lines += ["", f"gold {told}: {', '.join(scores)}"]
    return visible("\n".join(lines))


def _fold(text: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(visible(text).split()), _WIDTH, initial_indent=indent, subsequent_indent=indent
    )
