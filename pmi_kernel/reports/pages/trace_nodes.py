"""A trace as nodes: one for its head, one for each step."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.probe import Probe
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.system import Field
from pmi_kernel.core.task import Gold, Task
from pmi_kernel.core.trace import Passage, PassageUse, Step, StepKind, Trace
from pmi_kernel.episodes.card import report_cards
from pmi_kernel.reports.pages.reading import (
    costs,
    curve,
    highlight,
    matrix,
    sources,
    token_bars,
    words,
)
from pmi_kernel.reports.pages.render import Node, seconds, size
from pmi_kernel.reports.report import card_facts, card_rows

_LABELS: dict[str, str] = {
    StepKind.SEARCH: "Search",
    StepKind.COMPRESS: "Compress",
    StepKind.INJECT: "Inject",
    StepKind.ANSWER: "Answer",
}


@dataclass(frozen=True, slots=True)
class Live:
    """What a branch on a live engine offers at its steps.

    Attributes:
        branch: Its number.
        changes: What can be altered at a step.
    """

    branch: int
    changes: Callable[[Step], Sequence[Field]]


def replay_nodes(
    trace: Trace, result: EvalResult | None = None, notes: Sequence[str] = ()
) -> list[Node]:
    """Return a recorded trace, to be read without a model."""
    gold = gold_of(result) if result else None
    answers = gold.answers if gold else ()
    notes = (trace.system, *notes)
    branch = branch_node(trace, key="original", gold=gold)
    return [
        head_node(trace.task, answers, notes=notes, prediction=prediction_of(trace)),
        Node("branches", "branches.html", children=[branch]),
    ]


def gold_of(result: EvalResult) -> Gold:
    """Return the accepted answers and the known one, as a result keeps them."""
    return Gold(result.answers, known=result.known)


def prediction_of(trace: Trace) -> str | None:
    """Return the trace's answer; None where it has no end yet."""
    return trace.prediction if trace.steps and trace.steps[-1].end_reason else None


def head_node(
    task: Task, gold: Sequence[str], *, notes: Sequence[str] = (), prediction: str | None = None
) -> Node:
    """Return the question, with the gold answer behind a click."""
    scores = []
    if gold and prediction is not None:
        score = score_answer(prediction, gold)
        scores = [f"EM {score.em:.0f}", f"F1 {score.f1:.2f}", f"sub-span EM {score.sub_em:.0f}"]
    data = {
        "question": task.question,
        "episode_id": task.id,
        "notes": [note for note in notes if note],
        "gold": list(gold),
        "scores": scores,
    }
    return Node("head", "head.html", data)


def branch_node(
    trace: Trace,
    *,
    key: str,
    gold: Gold | None = None,
    title: str = "Episode",
    forked_at: int | None = None,
    change: str = "",
    live: Live | None = None,
    is_done: bool = True,
) -> Node:
    """Return one run of an episode, its steps in its slot; report cards where `gold` is given."""
    prefix = re.sub(r"\W+", "-", f"pmi-{trace.task.id}-{key}")
    data = {
        "id": prefix,
        "title": title,
        "forked_at": forked_at,
        "change": change,
        "num_steps": len(trace.steps),
        "costs": costs(trace.steps),
        "live": live,
        "is_done": is_done,
    }
    return Node(key, "branch.html", data, _step_nodes(trace, gold, prefix, forked_at or 0, live))


def _step_nodes(
    trace: Trace, gold: Gold | None, prefix: str, num_repeated: int, live: Live | None
) -> list[Node]:
    probes = {probe.step: probe for probe in trace.probes}
    cards = dict(zip(probes, report_cards(trace, gold) if gold else (), strict=False))
    nodes, search = [], None
    for step in trace.steps:
        if step.kind == StepKind.SEARCH:
            search = step
        card = cards.get(step.index)
        data: dict[str, Any] = {
            "step": step,
            "id": f"{prefix}-{step.index}",
            "label": _LABELS.get(step.kind, step.kind.capitalize()),
            "chips": _chips(step),
            "is_current": step.index == len(trace.steps) - 1,
            "is_repeated": step.index < num_repeated,
            "is_live": live is not None,
            **_details(step, search, trace.task, probes.get(step.index), prefix),
            "card": card_rows(card) if card else (),
            "card_facts": card_facts(card) if card else (),
        }
        if live:
            data |= {"branch": live.branch, "changes": live.changes(step)}
        nodes.append(Node(str(step.index), "step.html", data))
    return nodes


def _chips(step: Step) -> list[str]:
    """The step's few numbers that matter at a glance."""
    measures, chips = step.measures, []
    for stage in ("compress", "act"):
        if f"{stage}_s" in measures:
            chips += [
                f"{measures[f'{stage}_prompt_tokens']:g} tokens in",
                f"{measures[f'{stage}_new_tokens']:g} out",
                seconds(measures[f"{stage}_s"]),
            ]
    if "write_s" in measures:
        chips.append(f"{measures['lines']:g} lines written in {seconds(measures['write_s'])}")
    if "train_s" in measures:
        chips.append(f"train {seconds(measures['train_s'])}")
        chips.append(f"attach {seconds(measures['attach_s'])}")
    if measures.get("diverged"):
        chips.append("diverged: its loss rose")
    if measures.get("truncated_snippets"):
        chips.append("cut at snippet_tokens")
    return chips


def _details(
    step: Step, search: Step | None, task: Task, probe: Probe | None, prefix: str
) -> dict[str, Any]:
    if step.kind == StepKind.SEARCH:
        return _search(step, task)
    if step.kind == StepKind.COMPRESS:
        return {
            "sources": sources(step.text, search, task) if search else [],
            "search_id": f"{prefix}-{search.index}" if search else "",
        }
    if step.kind == StepKind.INJECT:
        return _inject(step, probe)
    return {}


def _search(step: Step, task: Task) -> dict[str, Any]:
    wanted = set(words(step.text))

    def shown(passage: Passage) -> dict[str, Any]:
        full = task.context[passage.index].text
        is_out = passage.use is PassageUse.LEFT_OUT
        text = full if is_out else passage.text
        return {
            "rank": passage.rank,
            "score": passage.score,
            "title": highlight(passage.title, wanted),
            "text": highlight(text, wanted),
            "rest": full[len(passage.text) :].strip() if not is_out else "",
        }

    parts: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for passage in step.passages:
        parts[passage.use is PassageUse.LEFT_OUT].append(shown(passage))
    return {"shown": parts[False], "left_out": parts[True]}


def _inject(step: Step, probe: Probe | None) -> dict[str, Any]:
    measures, artifacts = step.measures, step.artifacts
    losses = artifacts.get("losses_nats")
    norms = artifacts.get("delta_norms")
    norms = norms if isinstance(norms, dict) else {}
    modules = sorted({name.rsplit(".", 1)[-1] for name in norms})
    facts = [
        ("train", f"{seconds(measures['train_s'])}, {measures['train_tokens']:g} tokens"),
        ("attach", seconds(measures["attach_s"])),
        ("memory", size(measures["attached_bytes"])),
        ("rank", str(artifacts.get("rank", "?"))),
        ("modules", f"{len(norms)} layers ({', '.join(modules)})" if norms else "none"),
    ]
    return {
        "curve": curve(losses) if isinstance(losses, list | tuple) else None,
        "facts": facts,
        "probe": probe,
        "bars_alone": token_bars(probe.before.gold_no_evidence, probe.after.gold_no_evidence)
        if probe
        else [],
        "bars_evidence": token_bars(probe.before.gold, probe.after.gold) if probe else [],
        "norms": matrix(norms),
        "norm_max": max(norms.values(), default=0.0),
    }
