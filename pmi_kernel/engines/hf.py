"""The transformers engine: CPU or CUDA, greedy or drawn, guided or free, many memories at once."""

import gc
import itertools
import sys
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float32
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteriaList,
)
from transformers.utils import logging as transformers_logging

from pmi_kernel.engines.base import (
    Adapter,
    Finish,
    Generation,
    Prompt,
    Sampling,
    Score,
    Training,
)
from pmi_kernel.engines.batcher import MicroBatcher
from pmi_kernel.engines.chat import ChatTokenizer
from pmi_kernel.engines.decoding import RowControl
from pmi_kernel.engines.device import choose_device, choose_dtype
from pmi_kernel.engines.injection import Strategy, make_injection
from pmi_kernel.engines.models import model_hash, resolve_model
from pmi_kernel.errors import ConfigError, EngineError
from pmi_kernel.memory.lora import LoraRecipe, LoraWeights
from pmi_kernel.memory.rows import LoraRows
from pmi_kernel.memory.training import Trained, TrainJob, train_loras


@dataclass(frozen=True, slots=True)
class _Request:
    """What one caller asks of a batch; `continuation` is empty for generation and training."""

    token_ids: tuple[int, ...]
    adapter: Adapter | None
    sampling: Sampling = field(default_factory=Sampling)
    continuation: tuple[int, ...] = ()
    seed: int = 0


class HfEngine:
    """A causal language model under transformers, with row-wise LoRA.

    Args:
        model: `smollm2-135m` (embedded), a local directory, or a Hub name.
        strategy: `hot` (many memories, one per row of a batch), or one at a time: `inplace` (added
            to the running weights) or `merge_reload` (merge, save, purge, reload).
        device: `cpu`, `cuda`, `cuda:1`, ..., or `auto`: CUDA where there is one.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where it is faster, else float32.
        max_batch: Most requests in one forward pass.

    Raises:
        ConfigError: The model cannot be loaded, or has no chat template.
    """

    def __init__(
        self,
        model: str,
        *,
        strategy: Strategy = "hot",
        device: str = "auto",
        dtype: str = "auto",
        max_batch: int = 16,
    ) -> None:
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.source = resolve_model(model)
        self._name = model
        try:
            self._chat = ChatTokenizer(AutoTokenizer.from_pretrained(self.source), name=model)
            self.load(self.source)
        except OSError as error:
            raise ConfigError(f"model {model!r} cannot be loaded: {error}") from error
        self._max_tokens: int = getattr(self.model.config, "max_position_embeddings", sys.maxsize)
        self._injection = make_injection(strategy, self)
        self.is_exclusive = self._injection.is_exclusive
        self._strategy = strategy
        self._ids = itertools.count(1)
        self._batcher = MicroBatcher(self._run, max_batch=max_batch)

    def load(self, source: str | Path) -> None:
        """Load a checkpoint as the serving model; for the injection strategies."""
        verbosity = transformers_logging.is_progress_bar_enabled()
        transformers_logging.disable_progress_bar()
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=self.dtype)
        finally:
            if verbosity:
                transformers_logging.enable_progress_bar()
        # A model's own decoding defaults (sampling, penalties) would change what greedy means.
        model.generation_config = GenerationConfig(
            eos_token_id=model.generation_config.eos_token_id or self._chat.eos_id,
            pad_token_id=0,
            do_sample=False,
        )
        model.to(self.device).eval().requires_grad_(False)
        self.model: Any = model
        self.rows = LoraRows(self.model)

    def purge(self) -> None:
        """Drop the serving model and give its memory back; for the injection strategies."""
        del self.model, self.rows
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    # -- the protocol ---------------------------------------------------------------------------

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        """See `Engine.generate`."""
        start = time.perf_counter()
        token_ids = self._chat.render(prompt)
        self._check_length(len(token_ids) + sampling.max_tokens)
        request = _Request(token_ids, adapter, sampling)
        new_ids, logprobs, finish = cast(
            "tuple[tuple[int, ...], tuple[float, ...], Finish]",
            self._batcher.submit("generate", request),
        )
        return Generation(
            text=self._chat.decode(new_ids),
            token_ids=new_ids,
            logprobs_nats=logprobs,
            finish=finish,
            prompt_tokens=len(token_ids),
            seconds_s=time.perf_counter() - start,
        )

    def score(self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None) -> Score:
        """See `Engine.score`."""
        logprobs, ids = self._teacher_force(prompt, continuation, adapter)
        chosen = logprobs.gather(1, torch.tensor(ids)[:, None]).squeeze(1)
        return Score(ids, self._chat.pieces(ids), tuple(chosen.tolist()))

    def distributions(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None
    ) -> Float32[np.ndarray, "tokens vocabulary"]:
        """See `Engine.distributions`."""
        return self._teacher_force(prompt, continuation, adapter)[0].numpy()

    def train(self, text: str, recipe: LoraRecipe, *, adapter: Adapter | None = None) -> Training:
        """See `Engine.train`; concurrent calls with one recipe (but its seed) train together."""
        start = time.perf_counter()
        token_ids = self._chat.encode(text)
        if len(token_ids) < 2:
            raise EngineError(f"next-token training needs two tokens or more; the text is {text!r}")
        self._check_length(len(token_ids))
        request = _Request(token_ids, adapter, seed=recipe.seed)
        trained = cast("Trained", self._batcher.submit(replace(recipe, seed=0), request))
        return Training(
            text=text,
            weights=trained.weights,
            losses_nats=trained.losses_nats,
            num_tokens=len(token_ids) - 1,
            seconds_s=time.perf_counter() - start,
        )

    def attach(self, weights: LoraWeights, *, replaces: Adapter | None = None) -> Adapter:
        """See `Engine.attach`."""
        adapter = Adapter(next(self._ids), weights)
        self._batcher.exclusive(lambda: self._injection.attach(adapter, replaces))
        return adapter

    def detach(self, adapter: Adapter) -> None:
        """See `Engine.detach`."""
        self._batcher.exclusive(lambda: self._injection.detach(adapter))

    def describe(self) -> Mapping[str, str]:
        """See `Engine.describe`."""
        return {
            "model": self._name,
            "model_hash": model_hash(self.source),
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": self.device.type,
            "strategy": self._strategy,
        }

    def close(self) -> None:
        """See `Engine.close`."""
        self._batcher.exclusive(self.purge)

    # -- batches --------------------------------------------------------------------------------

    def _check_length(self, num_tokens: int) -> None:
        if num_tokens > self._max_tokens:
            raise EngineError(
                f"{num_tokens} tokens asked of a model that takes {self._max_tokens}; "
                "lower max_chars, topk, shots or max_steps"
            )

    def _teacher_force(
        self, prompt: Prompt, continuation: str, adapter: Adapter | None
    ) -> tuple[torch.Tensor, tuple[int, ...]]:
        token_ids = self._chat.render(prompt)
        ids = self._chat.encode(continuation)
        if not ids:
            raise EngineError(f"the continuation {continuation!r} has no token to score")
        self._check_length(len(token_ids) + len(ids))
        request = _Request(token_ids, adapter, continuation=ids)
        return cast("torch.Tensor", self._batcher.submit("score", request)), ids

    def _run(self, key: Hashable, requests: Sequence[_Request]) -> Sequence[object]:
        factors = self.rows.gather(self._injection.rows([r.adapter for r in requests]))
        if isinstance(key, LoraRecipe):
            return self._train_batch(key, requests)
        with torch.inference_mode(), self.rows.using(factors):
            return self._score_batch(requests) if key == "score" else self._generate_batch(requests)

    def _generate_batch(self, requests: Sequence[_Request]) -> Sequence[object]:
        width = max(len(r.token_ids) for r in requests)
        ids, mask = self._pad([(0,) * (width - len(r.token_ids)) + r.token_ids for r in requests])
        for row, request in enumerate(requests):
            mask[row, : width - len(request.token_ids)] = 0
        eos = self.model.generation_config.eos_token_id
        eos_ids = eos if isinstance(eos, list) else [eos]
        control = RowControl([r.sampling for r in requests], self._chat, width, eos_ids)
        sequences = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max(r.sampling.max_tokens for r in requests),
            logits_processor=LogitsProcessorList([control]),
            stopping_criteria=StoppingCriteriaList([control.stopping]),
        )
        return control.results(cast("torch.Tensor", sequences))

    def _score_batch(self, requests: Sequence[_Request]) -> Sequence[object]:
        whole = [r.token_ids + r.continuation for r in requests]
        width = max(len(tokens) for tokens in whole)
        ids, mask = self._pad([tokens + (0,) * (width - len(tokens)) for tokens in whole])
        for row, tokens in enumerate(whole):
            mask[row, len(tokens) :] = 0
        logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return [
            logits[row, len(r.token_ids) - 1 : len(tokens) - 1].float().log_softmax(-1).cpu()
            for row, (r, tokens) in enumerate(zip(requests, whole, strict=True))
        ]

    def _train_batch(self, recipe: LoraRecipe, requests: Sequence[_Request]) -> Sequence[object]:
        below = self._injection.rows([r.adapter for r in requests])
        jobs = [
            TrainJob(request.token_ids, weights, request.seed)
            for request, weights in zip(requests, below, strict=True)
        ]
        return train_loras(self.model, self.rows, jobs, recipe)

    def _pad(self, rows: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.tensor(rows, device=self.device)
        return ids, torch.ones_like(ids)
