"""A trace as plain text, for a terminal."""

import textwrap

from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import PassageUse, Step, StepKind, Trace
from pmi_kernel.core.visible import visible
from pmi_kernel.episodes.card import report_cards
from pmi_kernel.reports.report import render_card

_WIDTH = 96


def render_trace(trace: Trace, result: EvalResult | None = None) -> str:
    """Return a trace as text: each step, and what each injection did."""
    probes = {probe.step: probe for probe in trace.probes}
    gold = Gold(result.answers, known=result.known) if result else None
    cards = dict(zip(probes, report_cards(trace, gold) if gold else (), strict=False))
    lines = [_fold(f"{trace.task.id} ({trace.system}): {trace.task.question}")]
    for step in trace.steps:
        lines += ["", f"{step.index + 1}. {step.kind}"]
        lines += [_fold(part, "   ") for part in _body(step)]
        if probe := probes.get(step.index):
            before, after = probe.before, probe.after
            lines += [
                f"   asked without evidence: {before.answer_no_evidence!r} before, "
                f"{after.answer_no_evidence!r} after",
                f"   gold log-probability: {before.gold_no_evidence.total_nats:.2f} before, "
                f"{after.gold_no_evidence.total_nats:.2f} after (nats); "
                f"drift {probe.drift_kl_nats:.3f} nats per token",
            ]
        if card := cards.get(step.index):
            lines += ["", textwrap.indent(render_card(card), "   ")]
    if result:
        em, f1 = result.scores["em"], result.scores["f1"]
        lines += ["", f"gold {' / '.join(result.answers)}: EM {em:.0f}, F1 {f1:.2f}"]
    return visible("\n".join(lines))


def _body(step: Step) -> list[str]:
    if step.kind == StepKind.SEARCH:
        found = [
            f"[{p.rank}] {p.title} (score {p.score:.3g}): {p.text}"
            for p in step.passages
            if p.use is not PassageUse.LEFT_OUT
        ]
        return [f"query: {step.text}", *found]
    if step.kind == StepKind.INJECT:
        measures = step.measures
        told = [
            f"trained {measures['train_steps']:g} steps in {measures['train_s']:.1f} s, attached "
            f"{measures['attached_bytes'] / 1e6:.1f} MB in {1000 * measures['attach_s']:.1f} ms"
        ]
        return [*told, "it diverged: its loss rose"] if measures.get("diverged") else told
    end = f" ({step.end_reason})" if step.end_reason else ""
    return [(step.text or "(empty)") + end]


def _fold(text: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(visible(text).split()), _WIDTH, initial_indent=indent, subsequent_indent=indent
    )
