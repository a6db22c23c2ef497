"""What latents read out of a context: a heat map over its own words, of each and of all."""

from collections.abc import Iterator
from typing import Any

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step, Trace
from pmi_kernel.reports.pages.render import seconds
from pmi_kernel.reports.pages.step import StepPage

_WHOLE = 1000
"""What each latent's attention sums to, but for rounding."""
_SHOWN = 8


class SelectPage(StepPage):
    """See `StepPage`."""

    template = "select.html"

    def chips(self, step: Step) -> list[str]:
        """See `StepPage.chips`."""
        measures = step.measures
        return [
            f"{measures['latents']:g} latents",
            f"gate {measures['gate']:.2f}",
            f"{measures['attached_bytes'] / 1000:.3g} kB kept",
            seconds(measures["attach_s"]),
        ]

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """See `StepPage.data`."""
        attention, means = _attention(step), _means(step)
        most = max(means, default=0.0) or 1.0
        facts = _facts(gold)
        lines = [
            {
                "is_gold": (title, sentence) in facts,
                "words": [
                    (word, round(means[place] / most, 2))
                    for word, place in zip(words, places, strict=True)
                ],
            }
            for title, sentence, places, words in (_lines(step) if means else ())
        ]
        mass = mass_on(step, gold) if gold else None
        return {"lines": lines, "attention": attention, "mass": mass}

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        means, words = _means(step), step.artifacts.get("words")
        told = list(words) if isinstance(words, list) else []
        ranked = sorted(zip(means, told, strict=False), key=lambda one: -one[0])[:_SHOWN]
        return ["looked at most: " + ", ".join(f"{word} ({mean:.1%})" for mean, word in ranked)]


def mass_on(step: Step, gold: Gold) -> float | None:
    """Return the share of all latents' attention on supporting sentences; None where none is read.

    Args:
        step: That compressed a context.
        gold: Says which sentences support the answer.
    """
    facts, means = _facts(gold), _means(step)
    found = [
        sum(means[place] for place in places) if means else 0.0
        for title, sentence, places, _ in _lines(step)
        if (title, sentence) in facts
    ]
    return sum(found) if found else None


def _facts(gold: Gold | None) -> set[tuple[str, int]]:
    return {(one.title, one.sentence) for one in gold.supporting_facts} if gold else set()


def _lines(step: Step) -> Iterator[tuple[str, int, range, list[str]]]:
    """Of each sentence: its title, its number, the places of its words, and these."""
    artifacts, at = step.artifacts, 0
    titles, words = artifacts.get("titles"), artifacts.get("words")
    lines = artifacts.get("lines")
    if not (isinstance(lines, list) and isinstance(titles, list) and isinstance(words, list)):
        return
    for paragraph, sentence, count in lines:
        yield titles[paragraph], sentence, range(at, at + count), words[at : at + count]
        at += count


def _attention(step: Step) -> list[list[int]]:
    found = step.artifacts.get("attention")
    return list(found) if isinstance(found, list) else []


def _means(step: Step) -> list[float]:
    """The mean share of the latents' attention that each word has."""
    attention = _attention(step)
    return [sum(column) / _WHOLE / len(attention) for column in zip(*attention, strict=True)]
