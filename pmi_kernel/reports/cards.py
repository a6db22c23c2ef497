"""The report cards of a run: one an episode, and the means of their figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.records import read_records
from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Trace
from pmi_kernel.episodes.card import Contrast, ReportCard, episode_card
from pmi_kernel.reports.intervals import Interval, mean_of
from pmi_kernel.reports.tables import render_table
from pmi_kernel.runs.files import RECORD
from pmi_kernel.runs.merge import TRACES, read_results

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    "asked_answered",
    "gold_nats_rise",
    "gold_nats_wrong_rise",
    "asked_rephrased",
    "asked_unrelated",
    "drift_kl_nats",
    "same_tokens",
    "is_restored",
    "injection_s",
    "attached_bytes",
)
_RESTORED = {True: "yes", False: "NO", None: "not checked"}


def read_cards(run: Path) -> list[ReportCard]:
    """Return the card of each episode with an injection, in the order of the ids.

    Raises:
        ConfigError: There is no run, or its injections were not probed.
        DataError: The run has no results, or no episode has an injection.
    """
    record = RECORD.read(run)
    if record is None:
        raise ConfigError(f"{run} holds no run")
    if not record["probe"]:
        raise ConfigError(f"{run} was not probed; a run with probe measures around each injection")
    results = read_results(run)
    if not results:
        raise DataError(f"{run} has no results yet")
    cards = [
        episode_card(trace, Gold(result.answers, known=result.known))
        for trace in read_records(Trace, run / f"{TRACES}.jsonl")
        if (result := results.get(trace.task.id))
    ]
    if not any(cards):
        raise DataError(f"{run}: no episode has an injection")
    return [card for card in cards if card is not None]


def means(cards: Sequence[ReportCard]) -> dict[str, Interval]:
    """Return the mean of each of `FIGURES` that any card has, with its interval, by name.

    Args:
        cards: At least one. An interval's `n` is how many of them have the figure.
    """
    rows = [card.figures() for card in cards]
    return {
        name: mean_of(name, values)
        for name in FIGURES
        if (values := [value for row in rows if (value := row.get(name)) is not None])
    }


def cards_frame(cards: Sequence[ReportCard]) -> "pd.DataFrame":
    """Return every figure as a table, a row an episode by its id; shares in [0, 1]."""
    import pandas as pd

    rows = [{"episode_id": card.episode_id, **card.figures()} for card in cards]
    return pd.DataFrame(rows).set_index("episode_id")


def render_cards(cards: Sequence[ReportCard]) -> str:
    """Return a run's report cards: a row an episode, and the means with intervals."""
    rows = [(card.episode_id, *(_cell(card, name) for name in _COLUMNS)) for card in cards]
    header = ("episode", *(FIGURES[name].brief for name in _COLUMNS))
    return (
        f"{render_table(header, rows)}\n\n"
        f"{render_table(('mean over episodes', 'with 95 % interval', 'n'), mean_rows(cards))}"
    )


def mean_rows(cards: Sequence[ReportCard]) -> list[tuple[str, str, str]]:
    """Return the means as rows of a table: label, mean with interval, of how many cards."""
    return [(_label(name), found.show(name), str(found.n)) for name, found in means(cards).items()]


def _cell(card: ReportCard, name: str) -> str:
    if name == "is_restored":
        return _RESTORED[card.is_restored]
    if name.startswith("asked_"):
        one: Contrast | None = getattr(card, name.removeprefix("asked_"))
        return "-" if one is None else f"{100 * one.before:.0f} → {100 * one.after:.0f}"
    return FIGURES[name].show(card.figures()[name])


def _label(name: str) -> str:
    """The unit is said once for all states of a figure."""
    is_told = name.endswith(("_after", "_wrong", "_wrong_rise"))
    return FIGURES[name].label if is_told else FIGURES[name].heading


def card_rows(card: ReportCard) -> list[tuple[str, str, str, str]]:
    """Return a report card's figures: label, before, after, after the wrong passage."""
    return [
        (figure.heading, figure.show(one.before), figure.show(one.after), figure.show(one.wrong))
        for name, one in card.contrasts().items()
        for figure in [FIGURES[f"asked_{name}"]]
    ]


def card_facts(card: ReportCard) -> list[tuple[str, str]]:
    """Return the rest of a report card, each with its name: locality, restore, cost."""
    shown = {
        name: FIGURES[name].show(value)
        for name, value in card.figures().items()
        if name in FIGURES and value is not None
    }
    drift = f"{shown['drift_kl_nats']} nats per token" if "drift_kl_nats" in shown else "-"
    same = f", {shown['same_tokens']} % of tokens the same" if "same_tokens" in shown else ""
    restored = {True: "bit-equal", False: "NOT what they were", None: "not checked"}
    stages = [name for name in ("write_s", "train_s", "attach_s", "detach_s") if name in shown]
    cost = ", ".join(f"{FIGURES[name].label} {shown[name]} s" for name in stages)
    return [
        ("drift on unrelated texts", drift + same),
        ("rephrasings", str(card.num_rephrasings or "none")),
        ("base scores after the episode", restored[card.is_restored]),
        ("cost", f"{cost}; {shown['probe_s']} s to measure this"),
        ("memory", f"{shown['attached_bytes']} MB, {shown['train_tokens']} tokens trained"),
    ]


def render_card(card: ReportCard) -> str:
    """Return one report card as text."""
    table = render_table(("asked alone", "before", "after", "wrong passage"), card_rows(card))
    return "\n".join([table, *(f"{name}: {value}" for name, value in card_facts(card))])
