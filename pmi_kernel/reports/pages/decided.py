"""What a controller decided for an answer: what was run, fetched and thought of it."""

from collections.abc import Mapping
from typing import Any

from pmi_kernel.core.trace import Step
from pmi_kernel.reports.pages.render import seconds

_GIGA = 1e9


def decided(step: Step) -> dict[str, Any] | None:
    """Return what the template of an answer shows of its decisions; None where it has none.

    `rows` are the five decisions, each with the chance that it had; `attempts` the answers with
    what was fetched for each and the critic's verdict; `experts` the tokens of each expert of each
    block with their share of the most in a block.
    """
    told = step.artifacts.get("decisions")
    if not isinstance(told, Mapping):
        return None
    chances, experts = told["chances"], told["experts"]
    rows = [
        ("blocks run", f"{told['num_layers']}", chances.get("layers")),
        ("last interactions", _yes(told["episodic"], "looked at"), chances.get("episodic")),
        ("semantic entries", f"{told['num_entries']}", chances.get("entries")),
        ("experts open", ", ".join(map(str, experts)), chances.get("experts")),
        ("critic", _yes(told["verify"], "asked"), chances.get("verify")),
    ]
    counts = step.artifacts.get("experts")
    blocks = counts if isinstance(counts, list) else []
    return {
        "rows": [
            (name, what, "" if chance is None else f"{chance:.2f}") for name, what, chance in rows
        ],
        "attempts": step.artifacts["attempts"],
        "experts": [
            [(tokens, round(tokens / (max(block) or 1), 2)) for tokens in block] for block in blocks
        ],
    }


def decided_chips(step: Step) -> list[str]:
    """Return an answer's few numbers that matter at a glance, where something was decided."""
    if "decisions" not in step.artifacts:
        return []
    measures = step.measures
    chips = [
        f"{measures['layers']:g} blocks",
        f"{measures['fetched']:g} fetched",
        f"{measures['flops'] / _GIGA:.3g} GFLOP",
        seconds(measures["act_s"]),
    ]
    if "verdict" in measures:
        chips.insert(2, f"critic {measures['verdict']:.2f}")
    return chips


def decided_text(step: Step) -> list[str]:
    """Return what was decided as paragraphs of plain text."""
    shown = decided(step)
    if shown is None:
        return []
    last = shown["attempts"][-1]
    return [
        "decided: " + ", ".join(f"{name} {what}" for name, what, _ in shown["rows"]),
        *(f"{one['tier']} {one['score']:.2f}: {one['text']}" for one in last["fetched"]),
    ]


def _yes(is_so: object, what: str) -> str:
    return what if is_so else f"not {what}"
