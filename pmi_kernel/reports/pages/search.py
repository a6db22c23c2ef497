"""A search: the query, and what it found, with its words marked."""

from typing import Any

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import PassageUse, Step, Trace
from pmi_kernel.reports.pages.passages import read_passages
from pmi_kernel.reports.pages.reading import words
from pmi_kernel.reports.pages.step import StepPage, found


class SearchPage(StepPage):
    """See `StepPage`."""

    template = "search.html"

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """See `StepPage.data`."""
        left_out = [one for one in step.passages if one.use is PassageUse.LEFT_OUT]
        shown = [one for one in step.passages if one.use is not PassageUse.LEFT_OUT]
        wanted = set(words(step.text))
        return {
            "shown": read_passages(shown, trace.task, gold, wanted),
            "left_out": read_passages(left_out, trace.task, gold, wanted),
        }

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        return [f"query: {step.text}", *found(step)]
