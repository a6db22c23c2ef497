"""The injection lab: one snippet under many LoRA configs, and what each does."""

import itertools
from collections.abc import Mapping
from typing import Any

from IPython.core.getipython import get_ipython

from pmi_kernel.core.errors import SettingsError
from pmi_kernel.core.trace import StepKind
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.reports.pages.render import Node, seconds
from pmi_kernel.studies.sweep import SweepPoint, sweep
from pmi_kernel.systems.chat import ChatSystem
from pmi_kernel.systems.pmi.config import MemoryConfig
from widgets.episode_view import EpisodeView
from widgets.figures import Chart, norms_figure, sweep_figure
from widgets.setup import Setup
from widgets.view import View

_SWEPT = {"mem_rank": "8", "mem_lr": "1e-4 3e-4 1e-3", "mem_steps": "5 10 20"}
"""The settings that are swept, the last one fastest, with what stands in the form at first."""


class InjectionLab(View):
    """Sweeps optimiser steps, learning rate and rank over one snippet.

    Args:
        setup: Gives the question and the engine.
        view: Gives the snippet of its last compression.
    """

    def __init__(self, setup: Setup, view: EpisodeView | None = None) -> None:
        super().__init__()
        self._setup, self._view = setup, view
        self.points: list[SweepPoint] = []
        self._form = dict(_SWEPT)
        self._snippet = ""
        self._total = 0
        self._charts: list[Chart] = []
        self._show()

    def run(self, snippet: str, loras: list[LoraConfig]) -> None:
        """Measure every LoRA config on the snippet, in the background.

        Raises:
            SettingsError: The snippet is empty.
        """
        if not snippet.strip():
            raise SettingsError({"snippet": "there is none; take the episode's, or type one"})
        self._snippet = snippet
        self.submit("Sweeping…", lambda: self._sweep(snippet, loras))

    def on_take(self, *_: object) -> None:
        """Take the snippet of the episode's last compression."""
        found = [
            step.text
            for trace in (self._view.traces if self._view else ())
            for step in trace.steps
            if step.kind == StepKind.COMPRESS and step.text
        ]
        if not found:
            raise ValueError("the episode has no snippet yet: step to its compression first")
        self._snippet = found[-1]
        self._show()
        self.say("Taken.")

    def on_stop(self, *_: object) -> None:
        """The Cancel button."""
        self.stop()

    def on_sweep(self, _: object, values: Mapping[str, Any]) -> None:
        """The Run the sweep button."""
        config = self._setup.config
        memory = config if isinstance(config, MemoryConfig) else MemoryConfig()
        grid = {name: _numbers(name, values[name], getattr(memory, name)) for name in _SWEPT}
        self._form = {name: values[name] for name in _SWEPT}
        loras = [
            memory.but(**dict(zip(grid, point, strict=True))).lora(config.seed)
            for point in itertools.product(*grid.values())
        ]
        self.run(values["snippet"], loras)

    def _sweep(self, snippet: str, loras: list[LoraConfig]) -> None:
        self.points, self._total = [], len(loras)
        self._show()
        system = self._setup.system()
        if not isinstance(system, ChatSystem):
            raise ValueError(f"{system.config.system} has no engine that a memory is put into")
        points = sweep(system, self._setup.example, snippet, loras)
        for point in points:
            self.points.append(point)
            self._show()
            self._draw()
            if self.is_stopping:
                break
        points.close()

    def idle_status(self) -> str:
        """See `View.idle_status`."""
        return f"{len(self.points)} of {self._total} LoRA configs measured."

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None:
            self._charts = [Chart(), Chart()]
            self._draw()

    def _draw(self) -> None:
        best = max(self.points, key=lambda point: point.after_nats, default=None)
        if best is None or not self._charts:
            return
        lora = best.lora
        title = (
            "Norm of the weight change, layer by layer, where gold is likeliest: "
            f"{lora.steps} steps, lr {lora.lr:g}, rank {lora.rank}"
        )
        figures = (sweep_figure(self.points), norms_figure(best.norms, title))
        words = ("Gold log-probability and drift over training steps: the table's figures.", title)
        for chart, figure, caption in zip(self._charts, figures, words, strict=True):
            chart.draw(figure, caption)

    def _show(self) -> None:
        rows = [
            (
                *(f"{getattr(p.lora, name.removeprefix('mem_')):g}" for name in _SWEPT),
                f"{p.loss_nats:.3f}",
                f"{p.before_nats:.2f} → {p.after_nats:.2f} ({p.after_nats - p.before_nats:+.2f})",
                f"{p.drift_kl_nats:.4f}",
                seconds(p.train_s),
            )
            for p in self.points
        ]
        columns = (
            *_SWEPT,
            "last loss",
            "gold log-probability, nats",
            "drift, nats per token",
            "train",
        )
        caption = "Asked the question alone; drift is the mean KL on unrelated prompts."
        self.show(
            [
                Node("form", "lab.html", {"snippet": self._snippet, "fields": self._form}),
                Node("progress", "progress.html", {"done": len(rows), "total": self._total}),
                Node("table", "table.html", {"caption": caption, "columns": columns, "rows": rows}),
            ]
        )


def _numbers(name: str, text: str, like: float) -> list[float]:
    """The numbers typed in a field, at least one, all above 0, and whole where `like` is."""
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise SettingsError({name: f"{text!r} is not a list of numbers"}) from None
    if not numbers or min(numbers) <= 0:
        raise SettingsError({name: "give one number above 0, or several"})
    if isinstance(like, int) and not all(number.is_integer() for number in numbers):
        raise SettingsError({name: f"{text!r} holds a number that is not whole"})
    return [type(like)(number) for number in numbers]
