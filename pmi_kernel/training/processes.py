"""The processes that train together: one, or those that `accelerate launch` started."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import torch
from torch import Tensor

from pmi_kernel.core.errors import ConfigError

_LONGEST = timedelta(days=7)
"""So long may the others wait, while the main one evaluates or saves."""


class Processes:
    """This process among those that train together.

    It stands on accelerate's `PartialState`: an `Accelerator` is one for the life of a process, and
    a second training in a notebook may have another precision.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Attributes:
        count: How many there are.
        index: Which one this is; the main one is 0.
        device: This one's; on CUDA the current device from now on.

    Raises:
        ConfigError: There is no CUDA device.
    """

    def __init__(self, device: Literal["auto", "cpu", "cuda"]) -> None:
        from accelerate import PartialState

        has_cuda = torch.cuda.is_available()
        if device == "cuda" and not has_cuda:
            raise ConfigError("device is 'cuda', but this machine has no CUDA device")
        state = PartialState(cpu=device == "cpu", timeout=_LONGEST)
        self.count, self.index = state.num_processes, state.process_index
        self.device = torch.device("cuda" if has_cuda and device != "cpu" else "cpu")
        if self.count > 1 and self.device.type == "cuda":
            self.device = state.device

    @property
    def is_main(self) -> bool:
        """Whether this is the one that logs, evaluates and saves."""
        return self.index == 0

    def wait(self) -> None:
        """Wait until all are here."""
        if self.count > 1:
            torch.distributed.barrier()

    def from_main(self, value: float) -> float:
        """Return the main process's value."""
        if self.count == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(told, 0)
        return float(told)

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the means over the processes of values that each of them has."""
        if self.count == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(told)
        return (told / self.count).tolist()

    def align(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the main one's values."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor.data, 0)

    def average_gradients(self, tensors: Sequence[Tensor]) -> None:
        """Replace each gradient by its mean over the processes, in one flat buffer a dtype.

        A tensor without a gradient counts as zero, and stays without where no process has one.
        """
        if self.count == 1:
            return
        by_dtype: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            by_dtype[tensor.dtype].append(tensor)
        for group in by_dtype.values():
            there = [torch.tensor([tensor.grad is not None]).to(tensor) for tensor in group]
            parts = [t.new_zeros(t.numel()) if t.grad is None else t.grad.flatten() for t in group]
            flat = torch.cat([*parts, *there])
            torch.distributed.all_reduce(flat)
            sizes = [t.numel() for t in group]
            *means, had = flat.split([*sizes, len(group)])
            for tensor, mean, has in zip(group, means, had.tolist(), strict=True):
                tensor.grad = (mean / self.count).view_as(tensor) if has else None
