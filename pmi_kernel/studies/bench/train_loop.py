"""What the training loop costs beside its learner's own work."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmi_kernel.studies.bench.figures import show_figures

if TYPE_CHECKING:
    from torch import Tensor

    from pmi_kernel.training import Evaluated, Group, Sample, TrainConfig


_NUM_ROWS = 12


def train_loop(
    rounds: int = 8, steps: int = 40, width: int = 512, batch: int = 32, out: Path | None = None
) -> dict[str, float]:
    """Steps per second of `fit` over those of a bare loop: same learner, samples and optimiser.

    The two take turns step by step, so that what else the machine does meets both; each figure is
    the median over the rounds. `fit` logs every step, tells how far it is and listens for a cancel.
    What it does once in a training is left out, and a checkpoint is measured apart.

    Args:
        rounds: How many trainings.
        steps: Optimiser steps of each.
        width: Of the layers of the learner.
        batch: Samples of a step, of 12 rows each; 32 take some 50 ms on one core.
        out: Write the figures here too, as JSON.
    """
    from pmi_kernel.jobs.owner import owned
    from pmi_kernel.training import TrainConfig, fit

    config = TrainConfig(
        steps=steps,
        batch=batch,
        schedule="none",
        device="cpu",
        eval_first=False,
        eval_every=None,
        save_every=None,
        best_by="loss",
    )
    names = ("fit_ms_per_step", "bare_ms_per_step", "fit_over_bare", "checkpoint_ms")
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        bare = _bare_steps(config, _Layers(width))
        spent_s: dict[str, list[float]] = {"fit": [], "bare": []}
        left_s = time.perf_counter()

        def on_row(
            row: Mapping[str, Any],
            total: int,
            bare: Iterator[None] = bare,
            spent_s: Mapping[str, list[float]] = spent_s,
        ) -> None:
            nonlocal left_s
            if "lr" in row:
                came_s = time.perf_counter()
                next(bare)
                spent_s["fit"].append(came_s - left_s)
                spent_s["bare"].append(time.perf_counter() - came_s)
            left_s = time.perf_counter()

        with tempfile.TemporaryDirectory() as folder, owned(Path(folder)) as job:
            fit(_Layers(width), config, Path(folder), job=job, on_row=on_row)
            found["checkpoint_ms"].append(1000 * (time.perf_counter() - left_s))
        fit_s, bare_s = (sum(spent_s[name][1:]) / (steps - 1) for name in ("fit", "bare"))
        found["fit_ms_per_step"].append(1000 * fit_s)
        found["bare_ms_per_step"].append(1000 * bare_s)
        found["fit_over_bare"].append(bare_s / fit_s)
    figures = {name: statistics.median(values) for name, values in found.items()}
    figures["fit_over_bare_lowest"] = min(found["fit_over_bare"])
    figures["fit_over_bare_highest"] = max(found["fit_over_bare"])
    return show_figures(figures, out)


def _bare_steps(config: "TrainConfig", learner: "_Layers") -> Iterator[None]:
    """The loop as one would write it, without anything around it."""
    import torch

    from pmi_kernel.training.order import samples

    parameters = list(learner.groups()[0].tensors.values())
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    batches = [
        samples(config.batch * step, config.batch, learner.num_samples, config.seed)
        for step in range(config.steps or 0)
    ]
    for batch in batches:
        learner.update(batch, _backward)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield


def _backward(loss: "Tensor") -> None:
    loss.backward()


class _Layers:
    """Four linear layers that learn to give back what they are given."""

    system = "bench"
    num_samples = 1_000_000

    def __init__(self, width: int) -> None:
        import torch

        generator = torch.Generator().manual_seed(0)
        self._layers = [
            (torch.randn(width, width, generator=generator) / width**0.5).requires_grad_()
            for _ in range(4)
        ]
        self._x = torch.randn(1024, _NUM_ROWS, width, generator=generator)

    def groups(self) -> "Sequence[Group]":
        from pmi_kernel.training import Group

        return [Group("layers", {str(place): one for place, one in enumerate(self._layers)})]

    def update(
        self, samples: "Sequence[Sample]", backward: "Callable[[Tensor], None]"
    ) -> Mapping[str, float]:
        x = hidden = self._x[[one.number % 1024 for one in samples]].flatten(0, 1)
        for layer in self._layers:
            hidden = (hidden @ layer).tanh()
        loss = (hidden - x).square().mean()
        backward(loss)
        return {"loss": loss.item(), "num_tokens": float(len(samples))}

    def evaluate(self) -> "Evaluated":
        from pmi_kernel.training import Evaluated

        return Evaluated({"loss": 0.0}, ())

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        tensors = {str(place): one.detach() for place, one in enumerate(self._layers)}
        save_file(tensors, folder / "layers.safetensors")

    def load(self, folder: Path) -> None:
        import torch
        from safetensors.torch import load_file

        found = load_file(folder / "layers.safetensors")
        with torch.no_grad():
            for place, layer in enumerate(self._layers):
                layer.copy_(found[str(place)])

    def facts(self) -> Mapping[str, object]:
        return {}
