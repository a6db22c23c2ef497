"""A model under transformers, with row-wise LoRA; and the trainer that works on it."""

import gc
import math
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from transformers import GenerationConfig

from pmi_kernel.core import progress
from pmi_kernel.core.errors import EngineError
from pmi_kernel.engines.base import Gradients, Lesson, Lessons, Training
from pmi_kernel.engines.batcher import MicroBatcher
from pmi_kernel.engines.compute import computing
from pmi_kernel.engines.device import choose_device, choose_dtype
from pmi_kernel.engines.hashes import files_hash, weights_hash
from pmi_kernel.engines.loading import load_chat, load_model, snapshot
from pmi_kernel.engines.models import resolve_model
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.gradients import passage_gradients
from pmi_kernel.lora.rows import LoraRows
from pmi_kernel.lora.start import Gradient, Start, tensors_of
from pmi_kernel.lora.training import MemoryTask, Trained, TrainRow, check_continues, train_loras
from pmi_kernel.lora.weights import LoraWeights

if TYPE_CHECKING:
    from llguidance import LLTokenizer


class LoadedModel:
    """A causal language model and its tokenizer.

    Args:
        name: `smollm2-135m` (embedded), a local directory, or a Hub name.
        device: `cpu`, `cuda`, `cuda:1`, ..., or `auto`: CUDA where there is one.
        dtype: `float32`, `bfloat16`, or `auto`: bfloat16 where it is faster, else float32.

    Attributes:
        model: The model; its own parameters are never trained.
        rows: The row-wise LoRA hooks of its linear layers.
        chat: Its tokenizer.
        max_tokens: Most tokens that it takes.

    Raises:
        ConfigError: The model cannot be loaded whole, has no chat template that can be used, or
            this machine cannot compute in `dtype`.
    """

    def __init__(self, name: str, *, device: str = "auto", dtype: str = "auto") -> None:
        progress.at(progress.Phase.LOADING)
        self.name = name
        self.device = choose_device(device)
        self.dtype, self._dtype_reason = choose_dtype(dtype, self.device)
        self.source = resolve_model(name)
        self.chat = load_chat(name, self.source)
        self.load(self.source)
        config = self.model.config
        self._folder = snapshot(self.source, getattr(config, "_commit_hash", None))
        self.max_tokens: int = getattr(config, "max_position_embeddings", sys.maxsize)

    @computing
    def load(self, source: str | Path) -> None:
        """Load the weights of a folder or Hub name."""
        model = load_model(self.name, source, self.dtype)
        own = model.generation_config.eos_token_id
        # A model's own decoding defaults (sampling, penalties) would change what greedy means.
        model.generation_config = GenerationConfig(
            eos_token_id=self.chat.eos_id if own is None else own, pad_token_id=0, do_sample=False
        )
        model.to(self.device).eval().requires_grad_(False)
        self.model: Any = model
        self.rows = LoraRows(self.model)

    def purge(self) -> None:
        """Drop the model and give its memory back."""
        del self.model, self.rows
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def eos_ids(self) -> list[int]:
        """The model's end tokens; none where neither it nor its chat template has one."""
        eos = self.model.generation_config.eos_token_id
        return list(eos) if isinstance(eos, list) else [] if eos is None else [eos]

    @cached_property
    def grammar_tokenizer(self) -> "LLTokenizer":
        """The tokenizer as guided decoding needs it."""
        return self.chat.grammar_tokenizer(self.eos_ids)

    def check_length(self, num_tokens: int) -> None:
        """Raise `EngineError` where the model does not take so many tokens."""
        if num_tokens > self.max_tokens:
            raise EngineError(
                f"{num_tokens} tokens asked of a model that takes {self.max_tokens}; "
                "show the model less, or ask for less"
            )

    def describe(self) -> Mapping[str, str]:
        """Return name, hashes, dtype with the reason for it, and device.

        A Hub model whose files are nowhere in the Hub's cache has its name for a hash.
        """
        return {
            "model": self.name,
            "model_hash": weights_hash(self._folder) if self._folder else self.name,
            "files_hash": files_hash(self._folder) if self._folder else self.name,
            "dtype": str(self.dtype).removeprefix("torch."),
            "dtype_reason": self._dtype_reason,
            "device": self.device.type,
        }


_ENOUGH = 8
"""Memories that are worth a batch of their own, though others may come."""


class Trainer:
    """Trains memories on a model; concurrent calls with one LoRA config (but its seed) go together.

    Args:
        loaded: What is trained on; its weights stay as they are.
        max_batch: Most memories trained in one batch.
        gate: Entered around every batch, so that others do not work meanwhile. It is given a
            function that says when training must wait no longer: many memories are trained
            together for little more than one, so it may let others go on until then.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        max_batch: int,
        gate: Callable[[Callable[[], bool]], AbstractContextManager[object]],
    ) -> None:
        self._loaded = loaded
        self._enough = min(max_batch, _ENOUGH)
        self._batcher = MicroBatcher(
            self._run, max_batch=max_batch, gate=lambda: gate(self._is_urgent)
        )

    def train(
        self, lessons: Lessons, lora: LoraConfig, memory: LoraWeights | None = None
    ) -> Training:
        """Return a LoRA trained on the lessons, on top of `memory` or on from it.

        Raises:
            EngineError: See `Engine.train`.
        """
        start = time.perf_counter()
        rows = tuple(self._row(lesson) for lesson in lessons)
        if not rows:
            raise EngineError("there is nothing to train on")
        if lora.start is not None:
            return self._step(lessons, lora.start, memory)
        if lora.is_continued:
            check_continues(memory, lora)
            task = MemoryTask(rows, start=memory, seed=lora.seed)
        else:
            task = MemoryTask(rows, below=memory, seed=lora.seed)
        trained = cast("Trained", self._batcher.submit(replace(lora, seed=0), task))
        return Training(
            lessons=lessons,
            weights=trained.weights,
            losses_nats=trained.losses_nats,
            num_tokens=sum(row.num_learned for row in rows),
            seconds_s=time.perf_counter() - start,
        )

    def _step(self, lessons: Lessons, start: Start, memory: LoraWeights | None) -> Training:
        """One gradient step on each lesson's text, from a start or on from a memory of its own."""
        found = self.gradients([lesson.text for lesson in lessons], start)
        before = start.theta if memory is None else tensors_of(memory)
        if before.keys() != start.theta.keys():
            raise EngineError("the memory to go on from was not begun at this start")
        return Training(
            lessons=lessons,
            weights=start.stepped(before, [(1.0, gradient.tensors) for gradient in found.of]),
            losses_nats=(sum(one.loss_nats for one in found.of) / len(found.of),),
            num_tokens=sum(one.num_tokens for one in found.of),
            seconds_s=found.seconds_s,
        )

    def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
        """Return what one step on each text would change in a start; concurrent calls go together.

        Raises:
            EngineError: See `Engine.gradients`.
        """
        began = time.perf_counter()
        with ThreadPoolExecutor(max(1, len(texts))) as pool:
            asked = [pool.submit(progress.carried(self._gradient), text, start) for text in texts]
            found = tuple(one.result() for one in asked)
        return Gradients(found, time.perf_counter() - began)

    def _gradient(self, text: str, start: Start) -> Gradient:
        tokens = (*self._loaded.chat.start_ids, *self._loaded.chat.encode(text))
        if len(tokens) < 2:
            raise EngineError(f"a gradient needs two tokens or more; the text is {text!r}")
        row = TrainRow(tokens[: min(start.on.max_context_len, self._loaded.max_tokens)])
        tensors, loss = cast("tuple[dict[str, Tensor], float]", self._batcher.submit(start, row))
        num_tokens = len(row.token_ids)
        return Gradient(text, tensors, loss, num_tokens, len(tokens) - num_tokens)

    def _is_urgent(self) -> bool:
        return self._batcher.num_waiting >= self._enough

    def _row(self, lesson: Lesson) -> TrainRow:
        chat = self._loaded.chat
        before = (*(chat.render(lesson.prompt) if lesson.prompt else ()),)
        before += tuple(chat.encode(lesson.opening)) if lesson.opening else ()
        end = self._loaded.eos_ids[:1] if lesson.prompt else ()
        token_ids = (*before, *chat.encode(lesson.text), *end)
        if len(token_ids) < 2:
            raise EngineError(
                f"next-token training needs two tokens or more; the text is {lesson.text!r}"
            )
        self._loaded.check_length(len(token_ids))
        return TrainRow(token_ids, 0 if lesson.is_prompt_learned else len(before))

    @computing
    def _run(self, how: Hashable, tasks: Sequence[Any]) -> Sequence[object]:
        model, rows = self._loaded.model, self._loaded.rows
        if isinstance(how, LoraConfig):
            return train_loras(model, rows, tasks, how)
        assert isinstance(how, Start)
        progress.at(progress.Phase.GRADIENTS, 0, len(tasks))
        theta = {name: tensor.to(self._loaded.device) for name, tensor in how.theta.items()}
        found, losses = passage_gradients(model, rows, theta, tasks, scaling=how.scaling)
        cpu = {name: tensor.float().cpu() for name, tensor in found.items()}
        results: list[object] = []
        for place, loss in enumerate(losses.tolist()):
            one = {name: tensor[place].clone() for name, tensor in cpu.items()}
            is_finite = math.isfinite(loss) and all(bool(t.isfinite().all()) for t in one.values())
            error = EngineError(f"a gradient was not finite (the loss is {loss})")
            results.append((one, loss) if is_finite else error)
        return results
