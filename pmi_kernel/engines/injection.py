"""How a memory is put in force in the transformers engine, and taken out again."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.models import cache_dir
from pmi_kernel.errors import EngineError
from pmi_kernel.memory.lora import LoraWeights
from pmi_kernel.memory.rows import LoraRows


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


def _not_attached(adapter: Adapter) -> EngineError:
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
            raise _not_attached(adapter)

    def rows(self, adapters: Sequence[Adapter | None]) -> list[LoraWeights | None]:
        """Return each row's own memory."""
        for adapter in adapters:
            if adapter is not None and adapter.id not in self._attached:
                raise _not_attached(adapter)
        return [None if adapter is None else adapter.weights for adapter in adapters]


class Host(Protocol):
    """The engine as `MergeReload` needs it: a serving model that can be dropped and loaded."""

    model: Any
    rows: LoraRows
    source: str | Path

    def load(self, source: str | Path) -> None:
        """Load a checkpoint as the serving model."""
        ...

    def purge(self) -> None:
        """Drop the serving model."""
        ...


class MergeReload:
    """The original procedure: merge into the base, save, purge the engine, load the checkpoint.

    One memory at a time. Kept as the reference that the other strategies must agree with.
    """

    is_exclusive = True

    def __init__(self, host: Host) -> None:
        self._host = host
        self._current: Adapter | None = None

    def attach(self, adapter: Adapter, replaces: Adapter | None) -> None:
        """Merge, save, purge, load."""
        if self._current is not None and (replaces is None or replaces.id != self._current.id):
            raise EngineError(
                f"merge_reload holds one memory at a time, and adapter {self._current.id} is in; "
                "use strategy hot, or one episode at a time"
            )
        if replaces is not None:
            self.detach(replaces)
        host = self._host
        with torch.no_grad():
            for name in adapter.weights.a:
                if name not in host.rows.layers:
                    raise EngineError(f"the model has no linear layer {name!r} to merge into")
                weight = host.rows.layers[name].weight
                weight += adapter.weights.delta(name).to(weight.device, weight.dtype)
        cache = cache_dir() / "merged"
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=cache))
        try:
            host.model.save_pretrained(folder)
            self._reload(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._current = adapter

    def detach(self, adapter: Adapter) -> None:
        """Purge the merged model and load the base again."""
        if self._current is None or adapter.id != self._current.id:
            raise _not_attached(adapter)
        self._reload(self._host.source)
        self._current = None

    def rows(self, adapters: Sequence[Adapter | None]) -> list[LoraWeights | None]:
        """Return nothing to add: the memory is in the serving weights."""
        for adapter in adapters:
            if adapter is not None and (self._current is None or adapter.id != self._current.id):
                raise _not_attached(adapter)
            if adapter is None and self._current is not None:
                raise EngineError(
                    f"adapter {self._current.id} is merged into the serving weights: merge_reload "
                    "cannot answer under the base; detach it first, or use strategy hot"
                )
        return [None for _ in adapters]

    def _reload(self, source: str | Path) -> None:
        self._host.purge()
        self._host.load(source)
