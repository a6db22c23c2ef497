"""An injection: what was trained on, how, and where the weights changed."""

from typing import Any

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step, Trace
from pmi_kernel.reports.pages.reading import curve, matrix
from pmi_kernel.reports.pages.render import seconds, size
from pmi_kernel.reports.pages.step import StepPage


class InjectPage(StepPage):
    """See `StepPage`."""

    template = "inject.html"

    def chips(self, step: Step) -> list[str]:
        """See `StepPage.chips`."""
        measures, chips = step.measures, super().chips(step)
        if "write_s" in measures:
            chips.append(f"{measures['lines']:g} lines written in {seconds(measures['write_s'])}")
        chips += [
            f"{stage} {seconds(measures[f'{stage}_s'])}"
            for stage in ("train", "attach")
            if f"{stage}_s" in measures
        ]
        return chips + (["diverged: its loss rose"] if measures.get("diverged") else [])

    def data(self, step: Step, trace: Trace, prefix: str, gold: Gold | None) -> dict[str, Any]:
        """See `StepPage.data`."""
        measures, artifacts = step.measures, step.artifacts
        losses, norms = artifacts.get("losses_nats"), artifacts.get("delta_norms")
        norms = norms if isinstance(norms, dict) else {}
        modules = sorted({name.rsplit(".", 1)[-1] for name in norms})
        facts = [
            ("attach", seconds(measures["attach_s"])),
            ("memory", size(measures.get("attached_bytes", 0))),
            ("rank", str(artifacts.get("rank", "?"))),
            ("modules", f"{len(norms)} layers ({', '.join(modules)})" if norms else "none"),
        ]
        if "train_s" in measures:
            trained = f"{seconds(measures['train_s'])}, {measures['train_tokens']:g} tokens"
            facts.insert(0, ("train", trained))
        return {
            "curve": curve(losses) if isinstance(losses, list | tuple) else None,
            "facts": facts,
            "norms": matrix(norms),
            "norm_max": max(norms.values(), default=0.0),
        }

    def text(self, step: Step) -> list[str]:
        """See `StepPage.text`."""
        measures, memory = step.measures, FIGURES["attached_bytes"]
        trained = (
            f"trained {measures['train_steps']:g} steps in {measures['train_s']:.1f} s, "
            if "train_steps" in measures
            else ""
        )
        told = [
            f"{trained}attached {memory.show(measures.get('attached_bytes', 0))} {memory.unit} in "
            f"{1000 * measures['attach_s']:.1f} ms"
        ]
        return told + (["it diverged: its loss rose"] if measures.get("diverged") else [])
