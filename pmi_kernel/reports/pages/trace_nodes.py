"""A trace as nodes: one for its head, one for each step."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pmi_kernel.core.figures import FIGURES, OWN_SCORES, SCORES
from pmi_kernel.core.probe import Probe
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.system import Field
from pmi_kernel.core.task import Gold, Task
from pmi_kernel.core.trace import PassageUse, Step, Trace
from pmi_kernel.episodes.card import ReportCard, report_cards
from pmi_kernel.reports.cards import card_facts, card_rows
from pmi_kernel.reports.pages.again import Again
from pmi_kernel.reports.pages.kinds import page_of
from pmi_kernel.reports.pages.passages import read_passages
from pmi_kernel.reports.pages.reading import costs, token_bars, words
from pmi_kernel.reports.pages.render import Node, seconds


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
    trace: Trace,
    result: EvalResult | None = None,
    notes: Sequence[str] = (),
    again: Again | None = None,
) -> list[Node]:
    """Return a recorded trace, to be read without a model, and how it is run again."""
    gold = result.gold if result else None
    answers = gold.answers if gold else ()
    notes = (trace.system, *notes)
    branch = branch_node(trace, key="original", gold=gold, is_again=again is not None)
    return [
        head_node(trace.task, answers, notes=notes, scores=result.scores if result else {}),
        *reading_nodes(trace, gold, again),
        Node("branches", "branches.html", {"tabs": []}, [branch]),
    ]


def reading_nodes(trace: Trace, gold: Gold | None, again: Again | None) -> list[Node]:
    """Return what stands over the steps of a trace: how to find one's way, and to run it again."""
    nodes = [Node("find", "find.html", {"has_gold": bool(gold and gold.supporting_facts)})]
    if again is not None:
        id_, num_steps = trace.task.id, max(1, len(trace.steps))
        told = {"command": again.command(id_), "cell": again.cell(id_), "num_steps": num_steps}
        nodes.append(Node("again", "again.html", told))
    return nodes


def foreseen_node(task: Task, step: Step) -> Node:
    """Return the search that an episode without steps will begin with."""
    used = [one for one in step.passages if one.use is not PassageUse.LEFT_OUT]
    shown = read_passages(used, task, None, set(words(step.text)))
    return Node("foreseen", "foreseen.html", {"query": step.text, "shown": shown})


def prediction_of(trace: Trace) -> str | None:
    """Return the trace's answer; None where it has no end yet."""
    return trace.prediction if trace.steps and trace.steps[-1].end_reason else None


def head_node(
    task: Task, gold: Sequence[str], *, notes: Sequence[str] = (), scores: Mapping[str, float] = {}
) -> Node:
    """Return the question, with its options if it has some, and the gold answer behind a click."""
    data = {
        "question": task.question,
        "episode_id": task.id,
        "notes": [note for note in notes if note],
        "options": list(task.form.allowed) if task.form.options else [],
        "gold": [task.form.given(answer) for answer in gold],
        "scores": [
            f"{FIGURES[name].label} {FIGURES[name].show_score(scores[name])}"
            for name in (*SCORES, *OWN_SCORES)
            if name in scores
        ],
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
    is_again: bool = False,
) -> Node:
    """Return one run of an episode, its steps in its slot; report cards where `gold` is given.

    With `is_again` its steps can be copied as the cell and the command of `reading_nodes`.
    """
    prefix = re.sub(r"\W+", "-", f"pmi-{trace.task.id}-{key}")
    data = {
        "id": prefix,
        "title": title,
        "forked_at": forked_at,
        "change": change,
        "num_steps": len(trace.steps),
        "costs": costs(trace.steps),
        "probe_s": trace.probe_s,
        "live": live,
        "is_done": is_done,
    }
    return Node(
        key, "branch.html", data, _step_nodes(trace, gold, prefix, forked_at or 0, live, is_again)
    )


def _step_nodes(
    trace: Trace,
    gold: Gold | None,
    prefix: str,
    num_repeated: int,
    live: Live | None,
    is_again: bool,
) -> list[Node]:
    probes = {probe.step: probe for probe in trace.probes}
    cards = dict(zip(probes, report_cards(trace, gold) if gold else (), strict=False))
    nodes = []
    for step in trace.steps:
        page = page_of(step)
        probe = probes.get(step.index)
        data: dict[str, Any] = {
            "step": step,
            "id": f"{prefix}-{step.index}",
            "label": page.label,
            "chips": page.chips(step)
            + ([f"measured in {seconds(probe.probe_s)}"] if probe else []),
            "is_current": step.index == len(trace.steps) - 1,
            "is_repeated": step.index < num_repeated,
            "is_live": live is not None,
            "is_again": is_again,
            "probe": probe,
            **page.data(step, trace, prefix, gold),
            **(_probed(probe, cards.get(step.index)) if probe else {}),
        }
        if live:
            data |= {"branch": live.branch, "changes": live.changes(step)}
        nodes.append(Node(str(step.index), page.template, data))
    return nodes


def _probed(probe: Probe, card: ReportCard | None) -> dict[str, Any]:
    before, after = probe.before, probe.after
    drift = FIGURES["drift_kl_nats"]
    return {
        "card": card_rows(card) if card else (),
        "card_facts": card_facts(card) if card else (),
        "bars_alone": token_bars(before.gold_no_evidence, after.gold_no_evidence),
        "bars_evidence": token_bars(before.gold, after.gold),
        "drift": f"{drift.show(probe.drift_kl_nats)} {drift.unit}",
    }
