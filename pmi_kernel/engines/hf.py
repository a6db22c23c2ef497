"""The transformers engine: CPU or CUDA, greedy or drawn, guided or free, many memories at once."""

import itertools
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.cache_utils import DynamicCache, DynamicLayer

from pmi_kernel.core.errors import EngineError
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
from pmi_kernel.engines.batcher import MicroBatcher
from pmi_kernel.engines.compute import computing
from pmi_kernel.engines.decoding import RowControl
from pmi_kernel.engines.injection import Strategy, check_layers, make_injection
from pmi_kernel.engines.loaded import LoadedModel, Trainer
from pmi_kernel.engines.loading import check_lora
from pmi_kernel.engines.prefixes import PrefixCache
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.logits import logits_at
from pmi_kernel.lora.start import Start
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Prompt

_MIN_SAVED = 64
"""Tokens of a batch that must not be read again, for another forward pass to pay."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What one caller asks of a batch; `continuation` is empty for generation."""

    token_ids: tuple[int, ...]
    adapter: Adapter | None
    sampling: Sampling = field(default_factory=Sampling)
    continuation: tuple[int, ...] = ()


class HfEngine:
    """A causal language model under transformers, with row-wise LoRA.

    Args:
        model: `smollm2-135m` (embedded), a local directory, or a Hub name; or one that is loaded.
        strategy: `hot` (many memories, one per row of a batch), or one at a time: `inplace` (added
            to the running weights) or `merge_reload` (merge, save, purge, reload).
        device: `cpu`, `cuda`, `cuda:1`, ..., or `auto`: CUDA where there is one.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where it is faster, else float32.
        max_batch: Most requests in one forward pass.
        prefix_cache: Prompts whose keys and values are kept.

    Raises:
        ConfigError: The model cannot be loaded, or has no chat template.
    """

    def __init__(
        self,
        model: str | LoadedModel,
        *,
        strategy: Strategy = "hot",
        device: str = "auto",
        dtype: str = "auto",
        max_batch: int = 16,
        prefix_cache: int = 0,
    ) -> None:
        self.loaded = (
            LoadedModel(model, device=device, dtype=dtype) if isinstance(model, str) else model
        )
        self._chat = self.loaded.chat
        self._injection = make_injection(strategy, self.loaded)
        self.is_exclusive = self._injection.is_exclusive
        self._strategy = strategy
        self._prefixes = PrefixCache(prefix_cache)
        self._ids = itertools.count(1)
        self._batcher = MicroBatcher(self._run, max_batch=max_batch)
        self._trainer = Trainer(self.loaded, max_batch=max_batch, gate=self._batcher.exclusively)

    # -- the protocol ---------------------------------------------------------------------------

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        """See `Engine.generate`."""
        start = time.perf_counter()
        token_ids = self._chat.render(prompt)
        self.loaded.check_length(len(token_ids) + sampling.max_tokens)
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

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        """See `Engine.train`; concurrent calls with one config (but its seed) go together."""
        below = self._injection.rows([adapter])[0]
        if lora.is_continued and adapter is not None and below is None:
            raise EngineError(
                "a memory that is in the serving weights cannot be trained on; use strategy hot"
            )
        return self._trainer.train(lessons, lora, below)

    def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
        """See `Engine.gradients`; concurrent calls with one start go together."""
        return self._trainer.gradients(texts, start)

    def attach(self, weights: LoraWeights, *, replaces: Adapter | None = None) -> Adapter:
        """See `Engine.attach`."""
        adapter = Adapter(next(self._ids), weights)
        with self._batcher.exclusively():
            check_layers(weights, self.loaded.rows.layers)
            self._injection.attach(adapter, replaces)
            self._forget_where_all_is_changed()
        return adapter

    def detach(self, adapter: Adapter) -> None:
        """See `Engine.detach`."""
        with self._batcher.exclusively():
            self._injection.detach(adapter)
            self._forget_where_all_is_changed()

    def _forget_where_all_is_changed(self) -> None:
        """A memory that is in the weights changes what every prompt was read under."""
        if self.is_exclusive:
            self._prefixes.clear()

    def check_lora(self, lora: LoraConfig, *, num_stacked: int = 1) -> None:
        """See `Engine.check_lora`; a stack may be of any rank."""
        check_lora(self.loaded.rows, lora)

    def describe(self) -> Mapping[str, str]:
        """See `Engine.describe`."""
        return {**self.loaded.describe(), "strategy": self._strategy}

    def close(self) -> None:
        """See `Engine.close`."""
        with self._batcher.exclusively():
            self._prefixes.clear()
            self.loaded.purge()

    # -- batches --------------------------------------------------------------------------------

    def _teacher_force(
        self, prompt: Prompt, continuation: str, adapter: Adapter | None
    ) -> tuple[torch.Tensor, tuple[int, ...]]:
        token_ids = self._chat.render(prompt)
        ids = self._chat.encode(continuation)
        if not ids:
            raise EngineError(f"the continuation {continuation!r} has no token to score")
        self.loaded.check_length(len(token_ids) + len(ids))
        request = _Request(token_ids, adapter, continuation=ids)
        return cast("torch.Tensor", self._batcher.submit("score", request)), ids

    @computing
    def _run(self, key: Hashable, requests: Sequence[_Request]) -> Sequence[object]:
        weights = self._injection.rows([r.adapter for r in requests])
        with torch.inference_mode():
            past = self._read_shared(requests, weights)
            is_kept = self._prefixes.is_on and len(requests) == 1
            if is_kept:
                request = requests[0]
                past = self._prefixes.take(_memory(request), request.token_ids)
                past = past or DynamicCache(config=self.loaded.model.config)
            rows = self.loaded.rows
            with rows.using(rows.gather(weights)):
                run = self._score_batch if key == "score" else self._generate_batch
                found = run(requests, past)
            if is_kept and past is not None:
                self._keep(requests[0], found[0], past)
            return found

    def _keep(self, request: _Request, found: object, past: DynamicCache) -> None:
        """Keep what was read of a prompt, and what was generated after it."""
        new = request.continuation
        if not new:
            new, _, _ = cast("tuple[tuple[int, ...], object, object]", found)
        self._prefixes.keep(_memory(request), (*request.token_ids, *new), past)

    def _read_shared(
        self, requests: Sequence[_Request], weights: Sequence[LoraWeights | None]
    ) -> DynamicCache | None:
        """Read what all prompts begin with, once for each memory; None where it does not pay.

        Worked examples make most of a prompt, and padding goes between them and the rest: that
        is nothing to attention that sees all, so models with any other kind are left out.
        """
        model, rows = self.loaded.model, self.loaded.rows
        memories = [None if r.adapter is None else r.adapter.id for r in requests]
        distinct = list(dict.fromkeys(memories))
        num_spared = len(requests) - len(distinct)
        if not num_spared:
            return None
        columns = zip(*(r.token_ids[:-1] for r in requests), strict=False)
        alike = itertools.takewhile(lambda column: len(set(column)) == 1, columns)
        shared = tuple(column[0] for column in alike)
        if num_spared * len(shared) < _MIN_SAVED:
            return None
        past = DynamicCache(config=model.config)
        if not all(type(layer) is DynamicLayer for layer in past.layers):
            return None
        ids, mask = self._pad([shared] * len(distinct))
        with rows.using(rows.gather([weights[memories.index(memory)] for memory in distinct])):
            model.base_model(input_ids=ids, attention_mask=mask, past_key_values=past)
        places = [distinct.index(memory) for memory in memories]
        past.batch_select_indices(torch.tensor(places, device=ids.device))
        return past

    def _generate_batch(
        self, requests: Sequence[_Request], past: DynamicCache | None
    ) -> Sequence[object]:
        shared = 0 if past is None else past.get_seq_length()
        width = max(len(r.token_ids) for r in requests)
        gaps = [width - len(r.token_ids) for r in requests]
        ids, mask = self._pad(
            [
                r.token_ids[:shared] + (0,) * gap + r.token_ids[shared:]
                for r, gap in zip(requests, gaps, strict=True)
            ]
        )
        for row, gap in enumerate(gaps):
            mask[row, shared : shared + gap] = 0
        control = RowControl([r.sampling for r in requests], self.loaded, width)
        sequences = self.loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=past,
            max_new_tokens=max(r.sampling.max_tokens for r in requests),
            logits_processor=LogitsProcessorList([control]),
            stopping_criteria=StoppingCriteriaList([control.stopping]),
        )
        return control.results(cast("torch.Tensor", sequences))

    def _score_batch(
        self, requests: Sequence[_Request], past: DynamicCache | None
    ) -> Sequence[object]:
        shared = 0 if past is None else past.get_seq_length()
        whole = [r.token_ids + r.continuation for r in requests]
        width = max(len(tokens) for tokens in whole)
        ids, mask = self._pad([tokens + (0,) * (width - len(tokens)) for tokens in whole])
        wanted = torch.zeros_like(mask, dtype=torch.bool)
        for row, (request, tokens) in enumerate(zip(requests, whole, strict=True)):
            mask[row, len(tokens) :] = 0
            wanted[row, len(request.token_ids) - 1 : len(tokens) - 1] = True
        model, wanted = self.loaded.model, wanted[:, shared:]
        kept, options = logits_at(model, wanted)
        logits = model(
            input_ids=ids[:, shared:],
            attention_mask=mask,
            past_key_values=past,
            use_cache=past is not None,
            **options,
        ).logits
        return [
            logits[row, wanted[row, kept]].float().log_softmax(-1).cpu()
            for row in range(len(requests))
        ]

    def _pad(self, rows: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.tensor(rows, device=self.loaded.device)
        return ids, torch.ones_like(ids)


def _memory(request: _Request) -> object:
    """What a prompt is read under: the same weights, however often they are attached."""
    return None if request.adapter is None else request.adapter.weights
