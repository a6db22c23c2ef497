"""An answer, and how the episode ended."""

from typing import Any

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step, Trace
from pmi_kernel.reports.pages.decided import decided, decided_chips, decided_text
from pmi_kernel.reports.pages.step import StepPage, said


class AnswerPage(StepPage):
    """See `StepPage`."""

    template = "answer.html"

    def chips(self, step: Step) -> list[str]:
        """See `StepPage.chips`."""
        return super().chips(step) + decided_chips(step)

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """See `StepPage.data`."""
        return {"credits": _credits(step), "decided": decided(step)}

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        return [
            said(step),
            *(f"{title}: {nats:+.2f} nats of the answer" for title, nats, _ in _credits(step)),
            *decided_text(step),
        ]


def _credits(step: Step) -> list[tuple[str, float, float]]:
    """What each passage adds to the answer, where it was measured, and that over the largest."""
    found = step.artifacts.get("attribution")
    if not isinstance(found, dict):
        return []
    nats = found["credit_nats"]
    most = max((abs(value) for value in nats), default=0.0) or 1.0
    return [
        (title, value, value / most) for title, value in zip(found["titles"], nats, strict=True)
    ]
