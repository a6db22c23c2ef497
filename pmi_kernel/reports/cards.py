"""The report cards of a run: one an episode, and the means of their figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.records import read_records
from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Trace
from pmi_kernel.episodes.card import Contrast, ReportCard, episode_card
from pmi_kernel.reports.compare import Interval, mean_interval
from pmi_kernel.reports.report import percent, render_table
from pmi_kernel.runs.files import Record, read
from pmi_kernel.runs.merge import TRACES, read_results

if TYPE_CHECKING:
    import pandas as pd

MEANS = (
    ("answered_before", "answered before (sub-span EM, %)", ".1f", 100),
    ("answered_after", "answered after", ".1f", 100),
    ("answered_wrong", "answered after the wrong passage", ".1f", 100),
    ("em_before", "EM before (%)", ".1f", 100),
    ("em_after", "EM after", ".1f", 100),
    ("em_wrong", "EM after the wrong passage", ".1f", 100),
    ("known_before", "the known answer before (%)", ".1f", 100),
    ("known_after", "the known answer after", ".1f", 100),
    ("known_wrong", "the known answer after the wrong passage", ".1f", 100),
    ("gold_nats_rise", "gold rise (nats)", "+.2f", 1),
    ("gold_nats_wrong_rise", "gold rise, wrong passage", "+.2f", 1),
    ("rephrased_before", "rephrased: answered before (%)", ".1f", 100),
    ("rephrased_after", "rephrased: answered after", ".1f", 100),
    ("rephrased_wrong", "rephrased: after the wrong passage", ".1f", 100),
    ("rephrased_nats_rise", "rephrased: gold rise (nats)", "+.2f", 1),
    ("rephrased_nats_wrong_rise", "rephrased: gold rise, wrong passage", "+.2f", 1),
    ("unrelated_before", "unrelated answered before (%)", ".1f", 100),
    ("unrelated_after", "unrelated answered after", ".1f", 100),
    ("unrelated_wrong", "unrelated answered after the wrong passage", ".1f", 100),
    ("unrelated_em_before", "unrelated EM before (%)", ".1f", 100),
    ("unrelated_em_after", "unrelated EM after", ".1f", 100),
    ("unrelated_em_wrong", "unrelated EM after the wrong passage", ".1f", 100),
    ("drift_kl_nats", "drift (nats per token)", ".4f", 1),
    ("same_tokens", "likeliest tokens the same (%)", ".1f", 100),
    ("is_restored", "base scores bit-equal (%)", ".1f", 100),
    ("write_s", "write (s)", ".2f", 1),
    ("train_s", "train (s)", ".2f", 1),
    ("attach_s", "attach (s)", ".3f", 1),
    ("detach_s", "detach (s)", ".3f", 1),
    ("injection_s", "one injection in all (s)", ".2f", 1),
    ("attached_bytes", "memory (MB)", ".2f", 1e-6),
    ("train_tokens", "tokens trained", ".0f", 1),
    ("probe_s", "measuring (s)", ".1f", 1),
)
"""The figures whose means are shown: name, label, format, scale."""


def read_cards(run: Path) -> list[ReportCard]:
    """Return the card of each episode with an injection, in the order of the ids.

    Raises:
        ConfigError: There is no run, or its injections were not probed.
        DataError: The run has no results, or no episode has an injection.
    """
    record = read(Record, run)
    if record is None:
        raise ConfigError(f"{run} holds no run")
    if not record["probe"]:
        raise ConfigError(f"{run} was not probed; pmi run --probe measures around each injection")
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
    """Return the mean of each figure that any card has, with its interval, by name.

    Args:
        cards: At least one. An interval's `n` is how many of them have the figure.
    """
    rows = [card.figures() for card in cards]
    found = {name: [v for row in rows if (v := row[name]) is not None] for name in rows[0]}
    return {name: mean_interval(values) for name, values in found.items() if values}


def cards_frame(cards: Sequence[ReportCard]) -> "pd.DataFrame":
    """Return every figure as a table, a row an episode by its id; shares in [0, 1]."""
    import pandas as pd

    rows = [{"episode_id": card.episode_id, **card.figures()} for card in cards]
    return pd.DataFrame(rows).set_index("episode_id")


def render_cards(cards: Sequence[ReportCard]) -> str:
    """Return a run's report cards: a row an episode, and the means with intervals."""

    def change(one: Contrast | None) -> str:
        return "-" if one is None else f"{100 * one.before:.0f} → {100 * one.after:.0f}"

    def rise(one: Contrast | None, value: float | None) -> str:
        return "-" if one is None or value is None else f"{value:+.2f}"

    restored = {True: "yes", False: "NO", None: "not checked"}
    rows = [
        (
            card.episode_id,
            change(card.answered),
            rise(card.gold_nats, card.gold_nats.rise),
            rise(card.gold_nats, card.gold_nats.wrong_rise),
            change(card.rephrased),
            change(card.unrelated),
            f"{card.drift_kl_nats:.3f}",
            percent(card.same_tokens),
            restored[card.is_restored],
            f"{card.injection_s:.1f}",
            f"{card.attached_bytes / 1e6:.1f}",
        )
        for card in cards
    ]
    header = (
        "episode",
        "answered %",
        "gold nats",
        "wrong",
        "rephrased %",
        "unrelated %",
        "drift",
        "same %",
        "restored",
        "s",
        "MB",
    )
    figures = means(cards)
    summed = [
        (label, figures[name].render(spec, scale), str(figures[name].n))
        for name, label, spec, scale in MEANS
        if name in figures
    ]
    return (
        f"{render_table(header, rows)}\n\n"
        f"{render_table(('mean over episodes', 'with 95 % interval', 'n'), summed)}"
    )
