"""A compression: each sentence of the snippet with where it came from."""

from typing import Any

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step, StepKind, Trace
from pmi_kernel.reports.pages.reading import sources
from pmi_kernel.reports.pages.step import StepPage, said


class CompressPage(StepPage):
    """See `StepPage`."""

    template = "compress.html"

    def chips(self, step: Step) -> list[str]:
        """See `StepPage.chips`."""
        is_cut = step.measures.get("truncated_snippets")
        return super().chips(step) + (["cut at snippet_tokens"] if is_cut else [])

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """See `StepPage.data`."""
        searches = [one for one in trace.steps[: step.index] if one.kind == StepKind.SEARCH]
        return {
            "sources": sources(step.text, searches[-1], trace.task) if searches else [],
            "search_id": f"{prefix}-{searches[-1].index}" if searches else "",
        }

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        return [said(step)]
