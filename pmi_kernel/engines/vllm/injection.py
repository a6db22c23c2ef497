"""How a memory is put in force in a running vLLM engine, and taken out again."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pmi_kernel.core.errors import EngineError
from pmi_kernel.core.places import cache_dir
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.compute import compute
from pmi_kernel.engines.injection import Exclusive, not_attached
from pmi_kernel.engines.loaded import LoadedModel
from pmi_kernel.engines.loading import no_progress_bars
from pmi_kernel.engines.vllm.driver import Driver
from pmi_kernel.lora.weights import LoraWeights


class Hot:
    """Adapters in vLLM's own LoRA slots, from memory; every request names its own.

    Each has an id and a name that no other had before: vLLM's prefix cache is keyed by the name.

    Args:
        driver: The engine.
        max_rank: Largest rank that a slot holds.
        most: Most memories attached at once.
    """

    is_exclusive = False

    def __init__(self, driver: Driver, max_rank: int, most: int) -> None:
        self._driver = driver
        self._max_rank, self._most = max_rank, most
        self._requests: dict[int, Any] = {}

    def attach(self, adapter: Adapter, replaces: Adapter | None) -> None:
        """Put the memory in a slot, between two steps of the engine."""
        from vllm.lora.request import LoRARequest

        weights = adapter.weights
        if weights.rank > self._max_rank:
            raise EngineError(
                f"a memory of rank {weights.rank} does not fit an engine made for {self._max_rank} "
                "(ranks of stacked memories add up); raise max_rank"
            )
        with self._driver.touching() as engine:
            if replaces is not None:
                self._request(replaces)
            elif len(self._requests) >= self._most:
                raise EngineError(
                    f"{self._most} memories are attached already; detach some, or raise max_batch"
                )
            self._driver.work(engine.collective_rpc, load_lora, None, (adapter.id, weights))
            self._requests[adapter.id] = LoRARequest(
                f"memory-{adapter.id}", adapter.id, "in-memory"
            )
            if replaces is not None:
                self._remove(engine, replaces)

    def detach(self, adapter: Adapter) -> None:
        """Empty the slot; the base weights were never touched."""
        with self._driver.touching() as engine:
            self._request(adapter)
            self._remove(engine, adapter)

    def request(self, adapter: Adapter | None) -> Any:
        """Return vLLM's name for an adapter; None for the base weights."""
        return None if adapter is None else self._request(adapter)

    def _request(self, adapter: Adapter) -> Any:
        if adapter.id not in self._requests:
            raise not_attached(adapter)
        return self._requests[adapter.id]

    def _remove(self, engine: Any, adapter: Adapter) -> None:
        del self._requests[adapter.id]
        self._driver.work(engine.remove_lora, adapter.id)
        forget_rank(adapter.id)


class _WhileIdle(Exclusive):
    """Changes the serving weights while no request is under way.

    Args:
        driver: The engine.
        loaded: The base weights.
    """

    def __init__(self, driver: Driver, loaded: LoadedModel) -> None:
        super().__init__()
        self._driver, self._loaded = driver, loaded

    def attach(self, adapter: Adapter, replaces: Adapter | None) -> None:
        """See `Exclusive.attach`."""
        with self._driver.idle():
            super().attach(adapter, replaces)

    def detach(self, adapter: Adapter) -> None:
        """See `Exclusive.detach`."""
        with self._driver.idle():
            super().detach(adapter)

    def request(self, adapter: Adapter | None) -> None:
        """Return nothing that a request should name: the memory is in the serving weights."""
        self.check(adapter)


class InPlace(_WhileIdle):
    """The merged weights are loaded over the running ones, from memory; nothing is restarted.

    The base weights, loaded the same way, restore them to the bit. The prefix cache was computed
    under other weights, so it is emptied.
    """

    def _put(self, weights: LoraWeights | None) -> None:
        self._driver.work(self._load, self._driver.engine, weights)

    def _load(self, engine: Any, weights: LoraWeights | None) -> None:
        merged = list(merged_weights(self._loaded, weights))
        engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(merged)})
        engine.reset_prefix_cache()


class MergeReload(_WhileIdle):
    """The original procedure: merge into the base, save, purge the engine, load the model.

    Kept as the reference that the other strategies must agree with, and must beat. The engine is a
    child process, so that a purge gives everything back.

    Args:
        driver: The engine.
        loaded: The base weights.
        build: Starts an engine on a folder or Hub name.
    """

    def __init__(
        self, driver: Driver, loaded: LoadedModel, build: Callable[[str | Path], Any]
    ) -> None:
        super().__init__(driver, loaded)
        self._build = build

    def _put(self, weights: LoraWeights | None) -> None:
        source = self._loaded.source
        if weights is None:
            self._driver.replace(lambda: self._build(source))
            return
        cache = cache_dir() / "merged"
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=cache))
        try:
            merged = compute(dict, merged_weights(self._loaded, weights))
            with no_progress_bars():
                self._loaded.model.save_pretrained(folder, state_dict=merged)
            self._driver.replace(lambda: self._build(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def merged_weights(
    loaded: LoadedModel, weights: LoraWeights | None
) -> Iterator[tuple[str, Tensor]]:
    """Yield every weight of a model by name, with a LoRA added; the model stays."""
    tied = getattr(loaded.model, "_tied_weights_keys", None) or ()
    is_tied = bool(loaded.model.config.tie_word_embeddings)
    for name, tensor in loaded.model.state_dict().items():
        if is_tied and name in tied:
            continue
        layer = name.removesuffix(".weight")
        if weights is not None and layer in weights.a:
            delta = weights.delta(layer).to(tensor.device)
            yield name, (tensor.float() + delta).to(tensor.dtype)
        else:
            yield name, tensor


def load_lora(worker: Any, adapter_id: int, weights: LoraWeights) -> None:
    """Put a memory in a slot of a vLLM worker, from memory; runs in the worker.

    Raises:
        EngineError: This model takes no LoRA on one of the memory's layers.
    """
    from vllm.lora.lora_model import LoRAModel
    from vllm.lora.peft_helper import PEFTHelper

    manager = worker.model_runner.lora_manager._adapter_manager
    packed = manager.packed_modules_mapping
    known = {part for name in manager.supported_lora_modules for part in packed.get(name, [name])}
    parts = {name.rsplit(".", 1)[-1] for name in weights.a}
    if unknown := sorted(parts - known):
        raise EngineError(f"vLLM takes no LoRA on {', '.join(unknown)}; train other layers")
    tensors: dict[str, Tensor] = {}
    for name, a in weights.a.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = a
        # The loader scales B where it lies, so it gets a copy, scaled already.
        tensors[f"base_model.model.{name}.lora_B.weight"] = weights.b[name] * weights.scaling
    helper = PEFTHelper(r=weights.rank, lora_alpha=weights.rank, target_modules=sorted(parts))
    mapper = getattr(manager.model, "hf_to_vllm_mapper", None)
    lora = LoRAModel.from_lora_tensors(
        adapter_id,
        tensors,
        helper,
        device="cpu",
        dtype=manager.lora_config.lora_dtype,
        weights_mapper=mapper.get_rename_mapper() if mapper is not None else None,
    )
    with torch.inference_mode():
        manager.add_adapter(lora)
        manager.activate_adapter(adapter_id)
    if "cpu" in str(manager.device):
        from pmi_kernel.engines.vllm.cpu_lora import GroupedPunica

        GroupedPunica.ranks[adapter_id] = weights.rank


def forget_rank(adapter_id: int) -> None:
    """Forget what the CPU kernels know of an adapter."""
    from pmi_kernel.engines.vllm.cpu_lora import GroupedPunica

    GroupedPunica.ranks.pop(adapter_id, None)
