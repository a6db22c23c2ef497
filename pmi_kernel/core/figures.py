"""Every number that is shown: what it is called, its unit, how it is printed and averaged.

Cards, tables, summaries, comparisons and pictures choose names from `FIGURES`; what a figure is
stands here alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial


class Better(StrEnum):
    """Which way a figure is better, where one is."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Average(StrEnum):
    """What the interval of a figure's mean is made by.

    SHARE: values in [0, 1]; Wilson's where each is 0 or 1, else the bootstrap's. MEAN: any values;
    the bootstrap's.
    """

    SHARE = "share"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class Figure:
    """How a number is shown.

    Attributes:
        label: What it is called.
        unit: Its unit as it is shown.
        spec: Its format.
        scale: What it is multiplied with to be shown.
        better: Which way it is better.
        average: How it is averaged.
        mean_spec: The format of its mean with an interval, where that is another.
        score_spec: The format of one episode's score, in [0, 1] and without the scale.
        brief: What a column is headed where there is little room.
    """

    label: str
    unit: str = ""
    spec: str = ".2f"
    scale: float = 1
    better: Better = Better.NEITHER
    average: Average = Average.MEAN
    mean_spec: str = ""
    score_spec: str = ""
    brief: str = ""

    @property
    def heading(self) -> str:
        """The label with the unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def axis(self) -> str:
        """The heading of an axis, which says the way that is better."""
        is_told = self.better is not Better.NEITHER
        return f"{self.heading}, {self.better} is better" if is_told else self.heading

    def show(self, value: float | None) -> str:
        """Return a value as text; a dash where there is none."""
        return "-" if value is None else f"{self.scale * value:{self.spec}}"

    def show_score(self, value: float) -> str:
        """Return one episode's score in [0, 1] as text."""
        return f"{value:{self.score_spec}}"


_share = partial(Figure, unit="%", spec=".1f", scale=100, average=Average.SHARE)
_higher = partial(_share, better=Better.HIGHER)
_lower = partial(_share, better=Better.LOWER)
_nats = partial(Figure, unit="nats", better=Better.HIGHER)
_rise = partial(_nats, spec="+.2f")
_cost = partial(Figure, better=Better.LOWER)
_seconds = partial(_cost, unit="s")

FIGURES: Mapping[str, Figure] = {
    # What an episode or a run came to.
    "em": _higher("EM", score_spec=".0f"),
    "f1": _higher("F1", score_spec=".2f"),
    "sub_em": _higher("sub-span EM", score_spec=".0f"),
    "accuracy": _higher("accuracy", score_spec=".0f"),
    "macro_f1": _higher("macro-F1"),
    "subspan_em": _higher("best sub-span EM", score_spec=".0f"),
    "seconds_s": _cost("seconds", "s/episode", ".1f"),
    "tokens": _cost("tokens", "tokens/episode", ".0f"),
    "attached_mb": _cost("MB", "MB/episode", ".1f"),
    "recovered": _higher(
        "Share of the F1 gap between closed book and in context that is recovered", spec=".0f"
    ),
    # A question asked alone; its states are told side by side.
    "asked_gold_nats": _nats("gold log-probability"),
    "asked_answered": _higher("answered", unit="sub-span EM, %", brief="answered %"),
    "asked_em": _higher("answered", unit="EM, %"),
    "asked_known": _lower("the known answer"),
    "asked_rephrased_nats": _nats("rephrased: gold"),
    "asked_rephrased": _higher("rephrased: answered", brief="rephrased %"),
    "asked_unrelated": _higher("unrelated questions", unit="sub-span EM, %", brief="unrelated %"),
    "asked_unrelated_em": _higher("unrelated questions", unit="EM, %"),
    # One of its states, or the step from one to another.
    "answered_before": _share("answered before", unit="sub-span EM, %"),
    "answered_after": _higher("answered after"),
    "answered_wrong": _share("answered after the wrong passage"),
    "em_before": _share("EM before"),
    "em_after": _higher("EM after"),
    "em_wrong": _share("EM after the wrong passage"),
    "known_before": _share("the known answer before"),
    "known_after": _lower("the known answer after"),
    "known_wrong": _share("the known answer after the wrong passage"),
    "gold_nats_rise": _rise("gold rise", brief="gold nats"),
    "gold_nats_wrong_rise": _rise("gold rise, wrong passage", better=Better.NEITHER, brief="wrong"),
    "rephrased_before": _share("rephrased: answered before"),
    "rephrased_after": _higher("rephrased: answered after"),
    "rephrased_wrong": _share("rephrased: after the wrong passage"),
    "rephrased_nats_rise": _rise("rephrased: gold rise"),
    "rephrased_nats_wrong_rise": _rise(
        "rephrased: gold rise, wrong passage", better=Better.NEITHER
    ),
    "unrelated_before": _share("unrelated answered before"),
    "unrelated_after": _higher("unrelated answered after"),
    "unrelated_wrong": _share("unrelated answered after the wrong passage"),
    "unrelated_em_before": _share("unrelated EM before"),
    "unrelated_em_after": _higher("unrelated EM after"),
    "unrelated_em_wrong": _share("unrelated EM after the wrong passage"),
    # The same under two memories, one on the other.
    "answered_after_first": _higher("after the first memory"),
    "answered_after_both": _higher("after both"),
    "gold_nats_by_first": _rise("gold, by the first", better=Better.NEITHER),
    "gold_nats_by_second": _rise("gold, by the second", better=Better.NEITHER),
    # What else an injection did, and what it cost.
    "drift_kl_nats": _cost("drift", "nats per token", ".3f", mean_spec=".4f", brief="drift"),
    "same_tokens": _higher("likeliest tokens the same", brief="same %"),
    "share_risen": _higher("rose"),
    "is_restored": _higher("base scores bit-equal", brief="restored"),
    "write_s": _seconds("write"),
    "train_s": _seconds("train"),
    "attach_s": _seconds("attach", spec=".3f"),
    "detach_s": _seconds("detach", spec=".3f"),
    "injection_s": _seconds("one injection in all", spec=".1f", mean_spec=".2f", brief="s"),
    "attached_bytes": _cost("memory", "MB", ".1f", 1e-6, mean_spec=".2f", brief="MB"),
    "train_tokens": _cost("tokens trained", spec="g", mean_spec=".0f"),
    "probe_s": Figure("measuring", "s", ".1f"),
}
"""Every figure, by the name that records, tables and files of tables have for it."""

SCORES = ("em", "f1", "sub_em")
"""The scores that are shown of an episode and of a run."""

OWN_SCORES = ("accuracy", "subspan_em")
"""The scores that some data sets have beside these, as their own metric has it."""
