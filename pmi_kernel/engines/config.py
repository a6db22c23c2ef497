"""Settings of what serves."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pmi_kernel.core.settings import Settings

if TYPE_CHECKING:
    from pmi_kernel.engines.base import Engine


class EngineConfig(Settings):
    """Which model serves, and how memories are put into it."""

    engine: Literal["hf", "vllm", "scripted"] = "hf"
    """Serving engine: hf (transformers), vllm (continuous batching; an extra), or scripted (no
    model; for trying the workbench out)."""
    model: str = "smollm2-135m"
    """Model: smollm2-135m (embedded), a local directory, a Hub name; a script: module:function."""
    strategy: Literal["hot", "inplace", "merge_reload"] = "hot"
    """Injection: hot (many memories at once), inplace (added to the weights, one at a time) or
    merge_reload (merge, save, purge, reload)."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1, ..."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format; auto is bfloat16 where it was measured to be faster, else float32."""
    max_batch: Annotated[int, Field(ge=1, le=4_096)] = 16
    """Most requests that share one forward pass."""
    prefix_cache: Annotated[int, Field(ge=0, le=64)] = 0
    """hf: prompts whose keys and values are kept: what a later prompt asked alone begins with alike
    is not read again (the same documents, say). vllm keeps as many as fit by itself."""
    max_rank: Annotated[int, Field(ge=1, le=512)] = 64
    """vllm: largest rank of an episode's memories together; every slot takes room for it."""
    kv_cache_gib: Annotated[float, Field(gt=0, le=4_096)] = 2.0
    """vllm: size of the key-value cache in GiB."""

    def build_engine(self) -> "Engine":
        """Return the engine, its model loaded.

        Raises:
            ConfigError: The model cannot be loaded, or this machine does not fit.
        """
        if self.engine == "scripted":
            from pmi_kernel.engines.scripted import ScriptedEngine, find_script

            return ScriptedEngine(find_script(self.model))
        if self.engine == "vllm":
            from pmi_kernel.engines.vllm.engine import VllmEngine

            return VllmEngine(
                self.model,
                strategy=self.strategy,
                device=self.device,
                dtype=self.dtype,
                max_batch=self.max_batch,
                max_rank=self.max_rank,
                kv_cache_gib=self.kv_cache_gib,
            )
        from pmi_kernel.engines.hf import HfEngine

        return HfEngine(
            self.model,
            strategy=self.strategy,
            device=self.device,
            dtype=self.dtype,
            max_batch=self.max_batch,
            prefix_cache=self.prefix_cache,
        )
