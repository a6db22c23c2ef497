"""The evidence that was written down, each sentence with the document that it was copied from."""

from typing import Any

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step, Trace
from pmi_kernel.reports.copying import copying
from pmi_kernel.reports.pages.step import StepPage


class ScratchpadPage(StepPage):
    """See `StepPage`."""

    template = "scratchpad.html"

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """See `StepPage.data`."""
        return {"copied": copying(step, gold)}

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        return [
            f"[{one.document or 'in no document'}] {one.text}"
            for one in copying(step, None).sentences
        ] or ["(nothing was written down)"]
