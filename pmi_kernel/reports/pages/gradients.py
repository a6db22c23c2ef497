"""Passages' gradients: how large each one's step is, by layer, and how alike they are."""

from typing import Any

from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step, Trace
from pmi_kernel.reports.pages.reading import matrix
from pmi_kernel.reports.pages.step import StepPage


class GradientsPage(StepPage):
    """See `StepPage`."""

    template = "gradients.html"

    def chips(self, step: Step) -> list[str]:
        """See `StepPage.chips`."""
        measures = step.measures
        chips = [
            f"{len(_each(step, 'titles'))} passages",
            f"{measures['gradient_tokens']:g} tokens",
        ]
        cut = measures.get("cut_tokens", 0)
        return chips + ([f"{cut:g} tokens cut off"] if cut else [])

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """See `StepPage.data`."""
        norms = [one for one in _each(step, "norms") if isinstance(one, dict)]
        passages = [
            {
                "title": title,
                "weight": weight,
                "loss": loss,
                "norm": sum(norm**2 for norm in by_layer.values()) ** 0.5,
                "norms": matrix(by_layer),
            }
            for title, weight, loss, by_layer in zip(
                *(_each(step, name) for name in ("titles", "weights", "losses_nats")),
                norms,
                strict=False,
            )
        ]
        return {
            "learned": passages,
            "cosines": _each(step, "cosines"),
            "norm_max": max((norm for one in norms for norm in one.values()), default=0.0),
        }

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        titles, weights = _each(step, "titles"), _each(step, "weights")
        losses = _each(step, "losses_nats")
        return [
            f"{title}: {loss:.2f} nats per token before the step"
            + ("" if weight == 1 else f", weight {weight:g}")
            for title, weight, loss in zip(titles, weights, losses, strict=False)
        ]


def _each(step: Step, name: str) -> list[Any]:
    """What an artifact has for each passage."""
    found = step.artifacts.get(name)
    return list(found) if isinstance(found, list | tuple) else []
