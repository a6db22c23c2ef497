"""What the memories were told, and where it is now."""

from typing import Any

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step, Trace
from pmi_kernel.reports.pages.render import seconds
from pmi_kernel.reports.pages.step import StepPage


class TellPage(StepPage):
    """See `StepPage`."""

    template = "tell.html"

    def chips(self, step: Step) -> list[str]:
        """See `StepPage.chips`."""
        measures = step.measures
        return [
            f"{measures['episodic_entries']:g} recent",
            f"{measures['semantic_entries']:g} consolidated",
            seconds(measures["tell_s"]),
        ]

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """See `StepPage.data`."""
        titles = gold.passages if gold else frozenset()
        return {"told": [(one, one["title"] in titles) for one in _told(step)]}

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        return [f"{one['title']}: {one['tier']}" for one in _told(step)]


def _told(step: Step) -> list[dict[str, Any]]:
    found = step.artifacts.get("told")
    return list(found) if isinstance(found, list) else []
