"""How a step is shown; a kind with a page of its own overrides what differs."""

import json
from typing import Any

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import PassageUse, Step, Trace
from pmi_kernel.reports.pages.passages import read_passages
from pmi_kernel.reports.pages.render import seconds


class StepPage:
    """The page of a step of any kind: its text, passages, measures and artifacts.

    Args:
        label: What the kind is called.
    """

    template = "step.html"

    def __init__(self, label: str) -> None:
        self.label = label

    def chips(self, step: Step) -> list[str]:
        """Return the step's few numbers that matter at a glance: of each call of the model."""
        measures, chips = step.measures, []
        for name in measures:
            stage = name.removesuffix("_prompt_tokens")
            if stage != name and f"{stage}_s" in measures:
                chips += [
                    f"{measures[name]:g} tokens in",
                    f"{measures[f'{stage}_new_tokens']:g} out",
                    seconds(measures[f"{stage}_s"]),
                ]
        return chips

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """Return what the template shows, beside what every step's does.

        Args:
            step: The step.
            trace: What it belongs to.
            prefix: Begins the ids of the trace's steps on the page.
            gold: The gold of the trace, where it is known.
        """
        facts = [(name.replace("_", " "), f"{value:g}") for name, value in step.measures.items()]
        facts += [
            (name.replace("_", " "), json.dumps(value, ensure_ascii=False))
            for name, value in step.artifacts.items()
        ]
        passages = read_passages(step.passages, trace.task, gold, set())
        return {"facts": facts, "passages": passages}

    def text(self, step: Step) -> list[str]:
        """Return the step as paragraphs of plain text."""
        measures = ", ".join(f"{name} {value:g}" for name, value in step.measures.items())
        told = {"measures": measures, "artifacts": ", ".join(step.artifacts)}
        return [said(step), *found(step), *(f"{name}: {of}" for name, of in told.items() if of)]


def said(step: Step) -> str:
    """Return a step's text, and the end of the episode where it is its last."""
    return (step.text or "(empty)") + (f" ({step.end_reason})" if step.end_reason else "")


def found(step: Step) -> list[str]:
    """Return the passages that a step found, as paragraphs."""
    return [
        f"[{passage.rank}] {passage.title} (score {passage.score:.3g}): {passage.text}"
        for passage in step.passages
        if passage.use is not PassageUse.LEFT_OUT
    ]
