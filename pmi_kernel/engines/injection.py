"""How a memory is put in force in the transformers engine; and the books that vLLM keeps too."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import nn

from pmi_kernel.core.errors import EngineError
from pmi_kernel.core.places import cache_dir
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.compute import computing
from pmi_kernel.lora.rows import LoraRows
from pmi_kernel.lora.weights import LoraWeights

Strategy = Literal["hot", "inplace", "merge_reload"]
"""The injection strategies by name."""


class Injection(Protocol):
    """One injection strategy; called while no batch runs."""

    is_exclusive: bool
    """Whether an attached memory is in force for every request."""

    def attach(self, adapter: Adapter, replaces: Adapter | None) -> None:
        """Put `adapter` in force, taking `replaces` out."""
        ...

    def detach(self, adapter: Adapter) -> None:
        """Take `adapter` out."""
        ...

    def rows(self, adapters: Sequence[Adapter | None]) -> list[LoraWeights | None]:
        """Return what each row of a batch must carry on top of the serving model.

        Raises:
            EngineError: An adapter is not in force, or the strategy cannot serve the row.
        """
        ...


def not_attached(adapter: Adapter) -> EngineError:
    """Return the error for a memory that is not in force."""
    return EngineError(f"adapter {adapter.id} is not attached (detached already, or replaced)")


class Hot:
    """Memories stay beside the model and every row of a batch carries its own; many at a time."""

    is_exclusive = False

    def __init__(self) -> None:
        self._attached: dict[int, Adapter] = {}

    def attach(self, adapter: Adapter, replaces: Adapter | None) -> None:
        """Register the memory."""
        if replaces is not None:
            self.detach(replaces)
        self._attached[adapter.id] = adapter

    def detach(self, adapter: Adapter) -> None:
        """Forget the memory; the base weights were never touched."""
        if self._attached.pop(adapter.id, None) is None:
            raise not_attached(adapter)

    def rows(self, adapters: Sequence[Adapter | None]) -> list[LoraWeights | None]:
        """Return each row's own memory."""
        for adapter in adapters:
            if adapter is not None and adapter.id not in self._attached:
                raise not_attached(adapter)
        return [None if adapter is None else adapter.weights for adapter in adapters]


class Host(Protocol):
    """The engine as `MergeReload` needs it: a serving model that can be dropped and loaded."""

    model: Any
    rows: LoraRows
    source: str | Path

    def load(self, source: str | Path) -> None:
        """Load a model as the serving model."""
        ...

    def purge(self) -> None:
        """Drop the serving model."""
        ...


class Exclusive(ABC):
    """Strategies that put the memory in the serving weights themselves: one at a time."""

    is_exclusive = True

    def __init__(self) -> None:
        self._current: Adapter | None = None

    def attach(self, adapter: Adapter, replaces: Adapter | None) -> None:
        """Put `adapter` in the serving weights."""
        if replaces is not None:
            self.check(replaces)
        elif self._current is not None:
            raise EngineError(
                f"this strategy holds one memory at a time, and adapter {self._current.id} is in; "
                "use strategy hot, or one episode at a time"
            )
        self._put(adapter.weights)
        self._current = adapter

    def detach(self, adapter: Adapter) -> None:
        """Make the serving weights the base's again, to the bit."""
        self.check(adapter)
        self._put(None)
        self._current = None

    def check(self, adapter: Adapter | None) -> None:
        """Raise `EngineError` where the serving weights are not those that are asked for."""
        if adapter is not None and (self._current is None or adapter.id != self._current.id):
            raise not_attached(adapter)
        if adapter is None and self._current is not None:
            raise EngineError(
                f"adapter {self._current.id} is in the serving weights: this strategy cannot "
                "answer under the base; detach it first, or use strategy hot"
            )

    def rows(self, adapters: Sequence[Adapter | None]) -> list[LoraWeights | None]:
        """Return nothing to add: the memory is in the serving weights."""
        for adapter in adapters:
            self.check(adapter)
        return [None for _ in adapters]

    @abstractmethod
    def _put(self, weights: LoraWeights | None) -> None:
        """Make the serving weights the base's with `weights` added; None: the base's alone."""


class InPlace(Exclusive):
    """The update is added to the running weights; what they were is kept beside, in main memory.

    Nothing is added per token. Subtracting the update again would leave rounding errors, so the
    kept copy of each touched layer is put back.

    Args:
        host: The engine.
    """

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host
        self._kept: dict[str, torch.Tensor] = {}

    @computing
    def _put(self, weights: LoraWeights | None) -> None:
        layers = self._host.rows.layers
        with torch.no_grad():
            for name in self._current.weights.a if self._current else ():
                layers[name].weight.copy_(self._kept[name])
        if weights is not None:
            for name in weights.a:
                if name not in self._kept:
                    self._kept[name] = layers[name].weight.detach().cpu().clone()
            _add(self._host, weights)


class MergeReload(Exclusive):
    """The original procedure: merge into the base, save, purge the engine, load the model.

    Kept as the reference that the other strategies must agree with, and must beat.

    Args:
        host: The engine.
    """

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    @computing
    def _put(self, weights: LoraWeights | None) -> None:
        if self._current is not None:
            self._reload(self._host.source)
        if weights is None:
            return
        _add(self._host, weights)
        cache = cache_dir() / "merged"
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=cache))
        try:
            self._host.model.save_pretrained(folder)
            self._reload(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _reload(self, source: str | Path) -> None:
        self._host.purge()
        self._host.load(source)


def _add(host: Host, weights: LoraWeights) -> None:
    with torch.no_grad():
        for name in weights.a:
            weight = host.rows.layers[name].weight
            weight += weights.delta(name).to(weight.device, weight.dtype)


def check_layers(weights: LoraWeights, layers: Mapping[str, nn.Linear]) -> None:
    """Raise `EngineError` where a memory's layers are not the model's, or are of other sizes."""
    for name, a in weights.a.items():
        if name not in layers:
            raise EngineError(f"the model has no linear layer {name!r} for the memory to act on")
        outputs, inputs = layers[name].weight.shape
        sizes = (*a.shape, *weights.b[name].shape)
        if sizes != (weights.rank, inputs, outputs, weights.rank):
            raise EngineError(
                f"a memory of sizes {sizes} does not act on {name!r}, which takes {inputs} numbers "
                f"and gives {outputs}"
            )


def make_injection(strategy: Strategy, host: Host) -> Injection:
    """Return the strategy of a name for an engine."""
    if strategy == "hot":
        return Hot()
    return InPlace(host) if strategy == "inplace" else MergeReload(host)
