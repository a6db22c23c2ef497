"""An answer, and how the episode ended."""

from typing import Any

from pmi_kernel.core.trace import Step, Trace
from pmi_kernel.reports.pages.step import StepPage, said


class AnswerPage(StepPage):
    """See `StepPage`."""

    template = "answer.html"

    def data(self, step: Step, trace: Trace, prefix: str) -> dict[str, Any]:
        """See `StepPage.data`."""
        return {}

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        return [said(step)]
