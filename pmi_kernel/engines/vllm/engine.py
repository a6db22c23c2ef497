"""The vLLM engine behind `Engine`: blocking calls of several threads, batched as they come.

vLLM serves and transformers trains, on the same model: vLLM has no backward pass. On a CPU
the two take turns, as they would only slow each other down; on a GPU they overlap.
"""

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from pmi_kernel.core import progress
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.engines.base import (
    Adapter,
    Finish,
    Generation,
    Gradients,
    Lessons,
    Sampling,
    Score,
    Training,
)
from pmi_kernel.engines.injection import Strategy, check_layers
from pmi_kernel.engines.loaded import LoadedModel, Trainer
from pmi_kernel.engines.loading import check_lora, one_line
from pmi_kernel.engines.vllm.starting import choose_platform, starting
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.start import Start
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Prompt

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The slot sizes that vLLM offers."""

_MOST_TOKENS = 8192
"""Longest prompt and answer together; the cache must hold one such request."""

_LEAST_FREE = 0.05
"""Share of a GPU that vLLM wants free at its start; the cache's size is set apart from it."""

_in_process: set[int] = set()
"""Engines alive in this process; vLLM's distributed state is theirs together."""

_ids = itertools.count(1)
"""Adapter ids of this process: none is ever used twice, whatever engine it was for."""


class VllmEngine:
    """A causal language model served by vLLM.

    Args:
        model: `smollm2-135m` (embedded), a local directory, or a Hub name.
        strategy: `hot` (many memories, one per request), or one at a time: `inplace` (loaded over
            the running weights) or `merge_reload` (merge, save, purge, reload; in a child process).
        device: `cpu`, `cuda`, or `auto`: what the installed vLLM is made for.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where it is faster, else float32.
        max_batch: Most requests, and most memories, in one forward pass.
        max_rank: Largest rank of an attached memory; the ranks of stacked memories add up.
        kv_cache_gib: Size of the key-value cache, GiB.

    Attributes:
        driver: Steps the serving engine.
        loaded: What memories are trained on.

    Raises:
        ConfigError: vLLM is not installed or not for this device, or the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        *,
        strategy: Strategy = "hot",
        device: str = "auto",
        dtype: str = "auto",
        max_batch: int = 16,
        max_rank: int = 64,
        kv_cache_gib: float = 2.0,
    ) -> None:
        self._is_cpu = choose_platform(device)
        self.loaded = LoadedModel(model, device="cpu" if self._is_cpu else "cuda", dtype=dtype)
        if strategy == "hot" and not self._is_cpu and self.loaded.dtype == torch.float32:
            raise ConfigError(
                "vLLM's LoRA kernels for CUDA take no float32: use dtype bfloat16, or strategy "
                "inplace"
            )
        self._chat = self.loaded.chat
        self._strategy = strategy
        self._max_batch = max_batch
        self._rank = next((rank for rank in _RANKS if rank >= max_rank), 0)
        if not self._rank:
            raise ConfigError(f"max_rank {max_rank}: vLLM takes ranks up to {_RANKS[-1]}")
        self._kv_cache_bytes = int(kv_cache_gib * 2**30)
        self._max_tokens = min(self.loaded.max_tokens, _MOST_TOKENS)
        self._eos_ids = self.loaded.eos_ids
        from pmi_kernel.engines.vllm.driver import Driver
        from pmi_kernel.engines.vllm.injection import Hot, InPlace, MergeReload

        _in_process.add(id(self))
        self.driver = Driver(lambda: self._build(self.loaded.source), is_cpu=self._is_cpu)
        self._injection: Any
        if strategy == "hot":
            self._injection = Hot(self.driver, self._rank, 4 * max_batch)
        elif strategy == "inplace":
            self._injection = InPlace(self.driver, self.loaded)
        else:
            self._injection = MergeReload(self.driver, self.loaded, self._build)
        self.is_exclusive: bool = self._injection.is_exclusive
        self._trainer = Trainer(
            self.loaded,
            max_batch=max_batch,
            gate=self.driver.lull if self._is_cpu else nullcontext,
        )

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        """See `Engine.generate`; under a regex, log-probabilities are among what it allows."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        from pmi_kernel.engines.vllm.driver import RefusedError

        start = time.perf_counter()
        token_ids = self._chat.render(prompt)
        self._check_length(len(token_ids) + sampling.max_tokens)
        params = SamplingParams(
            temperature=sampling.temperature,
            max_tokens=sampling.max_tokens,
            min_tokens=1 if sampling.regex else 0,
            stop=list(sampling.stop) or None,
            stop_token_ids=self._eos_ids,
            seed=sampling.seed if sampling.temperature > 0 else None,
            logprobs=0,
            structured_outputs=(
                StructuredOutputsParams(regex=sampling.regex) if sampling.regex else None
            ),
            output_kind=(
                RequestOutputKind.CUMULATIVE  # which says after each step how far it is
                if progress.is_heard()
                else RequestOutputKind.FINAL_ONLY
            ),
        )
        request = self._injection.request(adapter)
        try:
            output = self.driver.ask(token_ids, params, request).outputs[0]
        except RefusedError as error:
            if sampling.regex is None:
                raise
            raise EngineError(f"the regex {sampling.regex!r} cannot guide: {error}") from error
        new_ids = tuple(output.token_ids)
        return Generation(
            text=self._chat.decode(new_ids),
            token_ids=new_ids,
            logprobs_nats=tuple(
                at[token].logprob for token, at in zip(new_ids, output.logprobs, strict=True)
            ),
            finish=Finish.LENGTH if output.finish_reason == "length" else Finish.STOP,
            prompt_tokens=len(token_ids),
            seconds_s=time.perf_counter() - start,
        )

    def score(self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None) -> Score:
        """See `Engine.score`."""
        flat, ids = self._teacher_force(prompt, continuation, adapter, 0)
        starts = flat.start_indices[-len(ids) :]
        return Score(ids, self._chat.pieces(ids), tuple(flat.logprobs[start] for start in starts))

    def distributions(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None
    ) -> Float32[np.ndarray, "tokens vocabulary"]:
        """See `Engine.distributions`."""
        flat, ids = self._teacher_force(prompt, continuation, adapter, -1)
        vocabulary = self.loaded.model.config.vocab_size
        found = np.full((len(ids), vocabulary), -np.inf, np.float32)
        spans = zip(flat.start_indices[-len(ids) :], flat.end_indices[-len(ids) :], strict=True)
        for row, (start, end) in zip(found, spans, strict=True):
            row[flat.token_ids[start:end]] = flat.logprobs[start:end]
        return found

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        """See `Engine.train`; concurrent calls with one config (but its seed) go together."""
        self._injection.request(adapter)
        return self._trainer.train(lessons, lora, adapter.weights if adapter else None)

    def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
        """See `Engine.gradients`; concurrent calls with one start go together."""
        return self._trainer.gradients(texts, start)

    def attach(self, weights: LoraWeights, *, replaces: Adapter | None = None) -> Adapter:
        """See `Engine.attach`."""
        check_layers(weights, self.loaded.rows.layers)
        adapter = Adapter(next(_ids), weights)
        self._injection.attach(adapter, replaces)
        return adapter

    def detach(self, adapter: Adapter) -> None:
        """See `Engine.detach`."""
        self._injection.detach(adapter)

    def check_lora(self, lora: LoraConfig, *, num_stacked: int = 1) -> None:
        """See `Engine.check_lora`; a slot must hold all ranks of a stack."""
        check_lora(self.loaded.rows, lora)
        if self._strategy == "hot" and lora.rank * num_stacked > self._rank:
            raise ConfigError(
                f"{num_stacked} memories of rank {lora.rank} do not fit an engine made for rank "
                f"{self._rank}; raise max_rank, or train smaller or fewer ones"
            )

    def describe(self) -> Mapping[str, str]:
        """See `Engine.describe`."""
        return {**self.loaded.describe(), "strategy": self._strategy}

    def close(self) -> None:
        """See `Engine.close`."""
        _in_process.discard(id(self))
        is_last = not _in_process
        self.driver.close(is_shared=self._strategy != "merge_reload" and not is_last)
        self.loaded.purge()
        if is_last:
            from vllm.distributed import cleanup_dist_env_and_memory

            cleanup_dist_env_and_memory()

    def _check_length(self, num_tokens: int) -> None:
        if num_tokens > self._max_tokens:
            raise EngineError(
                f"{num_tokens} tokens asked of an engine that takes {self._max_tokens}; "
                "show the model less, or ask for less"
            )

    def _teacher_force(
        self, prompt: Prompt, continuation: str, adapter: Adapter | None, num_logprobs: int
    ) -> tuple[Any, tuple[int, ...]]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        ids = self._chat.encode(continuation)
        if not ids:
            raise EngineError(f"the continuation {continuation!r} has no token to score")
        whole = (*self._chat.render(prompt), *ids)
        self._check_length(len(whole) + 1)
        params = SamplingParams(
            temperature=0.0,
            max_tokens=1,
            prompt_logprobs=num_logprobs,
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        output = self.driver.ask(whole, params, self._injection.request(adapter))
        return output.prompt_logprobs, ids

    def _build(self, source: str | Path) -> Any:
        """Start vLLM on a model; in this process, or in a child for `merge_reload`."""
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        is_hot = self._strategy == "hot"
        parts = sorted({name.rsplit(".", 1)[-1] for name in self.loaded.rows.layers})
        lora: dict[str, Any] = {
            "enable_lora": True,
            "max_loras": self._max_batch,
            "max_cpu_loras": 4 * self._max_batch,
            "max_lora_rank": self._rank,
            "lora_target_modules": parts,
        }
        tokenizer = TemporaryDirectory()
        self.loaded.chat.save_double(Path(tokenizer.name), self._eos_ids)
        arguments = EngineArgs(
            model=str(source),
            tokenizer=tokenizer.name,
            dtype=str(self.loaded.dtype).removeprefix("torch."),
            # Compiling takes a minute on a CPU at every start; on CUDA it is what makes it fast.
            enforce_eager=self._is_cpu,
            max_model_len=self._max_tokens,
            max_num_seqs=self._max_batch,
            kv_cache_memory_bytes=self._kv_cache_bytes,
            max_logprobs=-1,
            generation_config="vllm",  # a model's own sampling defaults are not greedy
            structured_outputs_config={"backend": "guidance"},  # llguidance, as in hf
            disable_log_stats=True,
            use_tqdm_on_load=False,
            seed=0,
            **({} if self._is_cpu else {"gpu_memory_utilization": _LEAST_FREE}),
            **(lora if is_hot else {}),
        )
        with tokenizer, starting():
            try:
                return LLMEngine.from_engine_args(
                    arguments, enable_multiprocessing=self._strategy == "merge_reload"
                )
            except Exception as error:  # of any kind that vLLM's parts may raise
                raise ConfigError(
                    f"vLLM does not start with {source}: {one_line(error)}"
                ) from error
