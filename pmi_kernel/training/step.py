"""One optimiser step: micro-batches, their gradients' mean over the processes, clipping."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.training.config import TrainConfig
from pmi_kernel.training.learner import Learner, Sample
from pmi_kernel.training.processes import Processes
from pmi_kernel.training.state import Progress, make_optimizer

Precision = Literal["float32", "bf16", "fp16"]
FIRST_LOSS_SCALE = 2.0**16
_RISE_EVERY = 2000
"""Good steps in a row after which fp16's loss scale is doubled."""


def choose_precision(config: TrainConfig, device: torch.device) -> Precision:
    """Return what is computed in on a device.

    Raises:
        ConfigError: fp16 is asked for on a CPU.
    """
    is_cuda = device.type == "cuda"
    if config.precision == "fp16" and not is_cuda:
        raise ConfigError(f"precision 'fp16' needs CUDA, and this is {device}; use bf16 or float32")
    if config.precision != "auto":
        return config.precision
    has_it = is_cuda and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if has_it else "float32"


class Stepper:
    """Takes a learner's optimiser steps.

    Args:
        learner: Asked for its groups now.
        config: How it is trained.
        processes: Those that train together.

    Attributes:
        groups: What is trained.
        tensors: The same, in one row.
        optimizer: Their optimiser.

    Raises:
        ConfigError: A tensor is on another device than the training, or there is no such optimiser
            or precision here.
        ValueError: What is trained is no leaf that requires a gradient, or twice there, or two
            groups have one name.
    """

    def __init__(self, learner: Learner, config: TrainConfig, processes: Processes) -> None:
        self._learner, self._config, self._processes = learner, config, processes
        self.groups = tuple(learner.groups())
        self.tensors = [tensor for group in self.groups for tensor in group.tensors.values()]
        if len({group.name for group in self.groups}) < len(self.groups):
            raise ValueError("each group has a name of its own")
        _check(self.tensors, processes.device)
        self.optimizer = make_optimizer(self.groups, config)
        self._rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self._precision = choose_precision(config, processes.device)
        self._scale = 1.0
        processes.align(self.tensors)

    def computing(self) -> AbstractContextManager[object]:
        """Return the context in which the learner computes."""
        if self._precision == "float32":
            return nullcontext()
        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float16
        return torch.autocast(self._processes.device.type, dtype)

    def step(self, samples: Sequence[Sample], rate: float, progress: Progress) -> dict[str, object]:
        """Take a step, or skip it where the loss or the gradient is not finite.

        Args:
            samples: This process's.
            rate: Share of the highest learning rates.
            progress: Counts it.

        Returns:
            measures, lr of each group and grad_norm, as the log has them.

        Raises:
            EngineError: Too many steps in a row were skipped.
        """
        for group, highest in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = highest * rate
        self._scale = progress.loss_scale / self._config.accumulation
        size = len(samples) // self._config.accumulation
        measured = []
        for first in range(0, len(samples), size):
            with self.computing():
                measured.append(self._learner.update(samples[first : first + size], self._backward))
        measures = self._mean(measured)
        self._processes.average_gradients(self.tensors)
        gradients = [tensor.grad for tensor in self.tensors if tensor.grad is not None]
        if progress.loss_scale != 1:
            torch._foreach_mul_(gradients, 1 / progress.loss_scale)
        norm = torch.nn.utils.get_total_norm(gradients)
        grad_norm = float(norm)
        if math.isfinite(measures["loss"]) and math.isfinite(grad_norm):
            if self._config.clip is not None:
                torch.nn.utils.clip_grads_with_norm_(self.tensors, self._config.clip, norm)
            self.optimizer.step()
            self._count_good(progress)
        else:
            self._count_bad(progress, f"loss {measures['loss']}, gradient norm {grad_norm}")
        self.optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        rates = zip(self.groups, self.optimizer.param_groups, strict=True)
        lr = {group.name: float(options["lr"]) for group, options in rates}
        return {"measures": measures, "lr": lr, "grad_norm": grad_norm}

    def _backward(self, loss: Tensor) -> None:
        scaled = loss if self._scale == 1 else loss * self._scale
        if self._precision == "float32":
            scaled.backward()
        else:  # it computes in what the forward pass did, as autocast is meant to be used
            with torch.autocast(self._processes.device.type, enabled=False):
                scaled.backward()

    def _mean(self, measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Over micro-batches and processes; `num_tokens` is summed."""
        names = sorted(measured[0])
        means = self._processes.mean(
            [sum(float(one[name]) for one in measured) / len(measured) for name in names]
        )
        found = dict(zip(names, means, strict=True))
        if "num_tokens" in found:
            found["num_tokens"] *= len(measured) * self._processes.count
        return found

    def _count_good(self, progress: Progress) -> None:
        progress.num_bad = 0
        progress.num_good += 1
        if self._precision == "fp16" and progress.num_good % _RISE_EVERY == 0:
            progress.loss_scale *= 2

    def _count_bad(self, progress: Progress, what: str) -> None:
        progress.num_good = 0
        progress.num_bad += 1
        progress.num_skipped += 1
        if self._precision == "fp16":
            progress.loss_scale /= 2
        if progress.num_bad >= self._config.max_bad_steps:
            raise EngineError(
                f"{progress.num_bad} steps in a row up to step {progress.step + 1} had a loss or "
                f"gradient that was not finite ({what}); the last checkpoint is as it was. A lower "
                "learning rate, a longer warm-up or float32 may help"
            )


def _check(tensors: Sequence[Tensor], here: torch.device) -> None:
    if not tensors or len({id(tensor) for tensor in tensors}) < len(tensors):
        raise ValueError("there must be something to train, and each tensor in one group only")
    for tensor in tensors:
        if not (tensor.is_leaf and tensor.requires_grad):
            raise ValueError("what is trained must be leaf tensors that require a gradient")
        if tensor.device.type != here.type or here.index not in (None, tensor.device.index):
            raise ConfigError(
                f"the learner's tensors are on {tensor.device}, and the training is on {here}; "
                "give both the same device"
            )
