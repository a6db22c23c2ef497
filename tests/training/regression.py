"""A learner that costs nothing and draws from every source of chance there is."""

import importlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.training import Evaluated, Group, Sample, TrainConfig, fit

KILLED_AT = "PMI_TEST_KILLED_AT"
"""Environment variable: where the process ends itself, e.g. `update:7`, its eighth."""


class Regression:
    """Learns y = 3 x_0 - x_1 through dropout; `seen` are the samples that it was given.

    Args:
        num_samples: Of an epoch.
        bad: Updates (by their number from 0) whose loss is not finite.
        scores: What the evaluations measure, in order; by default the error.
        is_certain: Nothing is drawn, and not every update has a gradient of the bias.
    """

    system = "regression"

    def __init__(
        self,
        num_samples: int = 24,
        bad: Sequence[int] = (),
        scores: Sequence[float] = (),
        is_certain: bool = False,
    ) -> None:
        self.num_samples = num_samples
        self.seen: list[Sample] = []
        self.num_updates = self.num_evaluations = self.num_saves = 0
        self.slow_s = 0.0
        self._bad, self._scores, self._is_certain = bad, scores, is_certain
        generator = torch.Generator().manual_seed(1)
        self.weight = torch.randn(16, 2, generator=generator).requires_grad_()
        self.out = torch.randn(16, generator=generator).requires_grad_()
        self.bias = torch.zeros(()).requires_grad_()

    def groups(self) -> Sequence[Group]:
        return [
            Group("layers", {"weight": self.weight, "out": self.out}),
            Group("bias", {"bias": self.bias}, lr=0.5, weight_decay=0.0),
        ]

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        _end_where_asked("update", self.num_updates)
        time.sleep(self.slow_s)
        self.seen += samples
        x = torch.tensor([[one.number % 5 - 2, one.epoch + 1.0] for one in samples])
        target, hidden = 3 * x[:, 0] - x[:, 1], torch.tanh(x @ self.weight.T)
        bias = self.bias
        if self._is_certain:
            bias = bias if any(one.number == 0 for one in samples) else bias.detach()
        else:
            target = target + 0.1 * random.random() + 0.1 * float(np.random.rand())
            hidden = torch.nn.functional.dropout(hidden, 0.25)
        loss = ((hidden @ self.out + bias - target) ** 2).mean()
        if self.num_updates in self._bad:
            loss = loss * float("nan")
        self.num_updates += 1
        backward(0.75 * loss)
        if bias.requires_grad:
            backward(0.25 * (bias - 1) ** 2)
        return {"loss": loss.item(), "num_tokens": 2.0 * len(samples)}

    def evaluate(self) -> Evaluated:
        _end_where_asked("evaluate", self.num_evaluations)
        random.random(), np.random.rand(), torch.rand(1)  # what it draws changes nothing
        x = torch.tensor([[number - 2.0, 1.0] for number in range(5)])
        with torch.no_grad():
            found = torch.tanh(x @ self.weight.T) @ self.out + self.bias
        error = float((found - 3 * x[:, 0] + x[:, 1]).square().mean())
        if self.num_evaluations < len(self._scores):
            error = self._scores[self.num_evaluations]
        self.num_evaluations += 1
        return Evaluated({"error": error}, ({"question": "2?", "answer": f"{error:.2f}"},))

    def save(self, folder: Path) -> None:
        _end_where_asked("save", self.num_saves)
        self.num_saves += 1
        tensors = {"weight": self.weight, "out": self.out, "bias": self.bias}
        save_file({name: t.detach() for name, t in tensors.items()}, folder / "model.safetensors")
        (folder / "model.json").write_text(json.dumps({"width": 16}), encoding="utf-8")

    def load(self, folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        if tensors["weight"].shape != self.weight.shape:
            raise ConfigError("weight has another shape")
        with torch.no_grad():
            for name in ("weight", "out", "bias"):
                getattr(self, name).copy_(tensors[name])
        torch.rand(3), random.random()  # loading may draw

    def facts(self) -> Mapping[str, object]:
        return {"data_sha256": "ab" * 32, "rows": (1, 2)}


def _end_where_asked(where: str, count: int) -> None:
    if os.environ.get(KILLED_AT) == f"{where}:{count}":
        os.kill(os.getpid(), 9)


CONFIG = TrainConfig(
    steps=40, batch=6, accumulation=2, lr=0.05, warmup=0.1, weight_decay=0.01, clip=1.0,
    eval_every=6, save_every=5, best_by="error", best_is="lowest", seed=3, device="cpu",
)  # fmt: skip


def main(out: Path, changes: Mapping[str, object], kills: Sequence[str]) -> None:
    """Train in a process of its own for each of `kills`, and once more to the end."""
    torch.set_num_threads(1)
    for name in ("accelerate", "torch._dynamo"):  # once for all of them
        importlib.import_module(name)
    for place in (*kills, ""):
        child = os.fork()
        if not child:
            os.environ[KILLED_AT] = place
            fit(Regression(), CONFIG.but(**changes), out)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status == (9 if place else 0), f"{place!r}: {status}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
