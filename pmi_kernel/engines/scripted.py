"""An engine without a model: it answers from a script, keeps the books on adapters, and is fast.

For tests of everything that is not the model, for measuring the harness, and for trying the
workbench out. Its memories are empty LoRAs, its scores are a fixed function of what it is asked.
"""

import itertools
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module

import numpy as np
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
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.start import Gradient, Start
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Prompt

Script = Callable[[Prompt, Adapter | None], str]
"""Returns the model's output for a prompt."""


def first_title(prompt: Prompt, adapter: Adapter | None) -> str:
    """Return what a reader of titles would: the first passage's title as the answer.

    Asked for notes, it copies the first passage; asked without evidence, it says `nothing`.
    """
    last = prompt[-1].content
    line = re.search(
        r"^(?:<information>\n|Passages:\n)?(?!Question:)([^\n:]+): [^\n]+$", last, re.MULTILINE
    )
    title = line.group(1) if line else "nothing"
    if "Facts from the passages" in last:
        return line.group(0).removeprefix("Passages:\n") if line else ""
    return f"<answer>{title}</answer>"


def find_script(name: str) -> Script:
    """Return the script called `module:function`; `first_title` for any other name.

    Raises:
        ConfigError: There is no such function.
    """
    module, colon, function = name.partition(":")
    if not colon:
        return first_title
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"script {name!r} cannot be loaded: {error}") from None


class ScriptedEngine:
    """Answers from a script.

    Args:
        script: A function of prompt and adapter, or the outputs in the order of the calls.
        is_exclusive: Whether one memory at a time is held, for every request.
    """

    def __init__(
        self, script: Script | Iterable[str] = first_title, *, is_exclusive: bool = False
    ) -> None:
        self.is_exclusive = is_exclusive
        self._script = script if callable(script) else _replay(script)
        self._ids = itertools.count(1)
        self._attached: dict[int, Adapter] = {}
        self._lock = threading.Lock()

    @property
    def num_attached(self) -> int:
        """Memories in force; 0 when every episode restored what it injected."""
        return len(self._attached)

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        """See `Engine.generate`; a word counts as a token, and there are no log-probabilities."""
        start = time.perf_counter()
        self._check(adapter)
        progress.at(progress.Phase.GENERATING, 0, sampling.max_tokens)
        text = self._script(prompt, adapter)
        words = text.split()
        is_cut = len(words) > sampling.max_tokens
        num_tokens = min(len(words), sampling.max_tokens)
        progress.at(progress.Phase.GENERATING, num_tokens, sampling.max_tokens)
        return Generation(
            text=" ".join(words[: sampling.max_tokens]) if is_cut else text,
            token_ids=tuple(zlib.crc32(word.encode()) for word in words[: sampling.max_tokens]),
            logprobs_nats=(),
            finish=Finish.LENGTH if is_cut else Finish.STOP,
            prompt_tokens=sum(len(message.content.split()) for message in prompt),
            seconds_s=time.perf_counter() - start,
        )

    def score(self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None) -> Score:
        """See `Engine.score`; a memory raises every word by half a nat."""
        self._check(adapter)
        progress.check()
        words = tuple(continuation.split())
        if not words:
            raise EngineError(f"the continuation {continuation!r} has no token to score")
        ids = tuple(zlib.crc32(word.encode()) for word in words)
        rise = 0.5 if adapter is not None else 0.0
        return Score(ids, words, tuple(rise - 1 - (token % 1000) / 250 for token in ids))

    def distributions(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None
    ) -> Float32[np.ndarray, "tokens vocabulary"]:
        """See `Engine.distributions`; two words, evenly likely."""
        self._check(adapter)
        progress.check()
        return np.full((max(1, len(continuation.split())), 2), np.log(0.5), dtype=np.float32)

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        """See `Engine.train`; the LoRA is empty and the loss halves at every step."""
        self._check(adapter)
        num_words = sum(len(lesson.text.split()) for lesson in lessons)
        if num_words < 2:
            raise EngineError("next-token training needs two tokens or more")
        losses = tuple(4.0 / 2**step for step in range(lora.steps))
        progress.at(progress.Phase.TRAINING, 0, lora.steps)
        for step, loss in enumerate(losses, start=1):
            progress.at(progress.Phase.TRAINING, step, lora.steps, loss_nats=partial(float, loss))
        weights = LoraWeights({}, {}, lora.rank, lora.alpha)
        return Training(lessons, weights, losses, num_words - 1, 0.0)

    def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
        """See `Engine.gradients`; they are empty."""
        if any(len(text.split()) < 2 for text in texts):
            raise EngineError("a gradient needs a text of two tokens or more")
        return Gradients(tuple(Gradient(text, {}, 4.0, len(text.split()), 0) for text in texts), 0)

    def attach(self, weights: LoraWeights, *, replaces: Adapter | None = None) -> Adapter:
        """See `Engine.attach`."""
        with self._lock:
            if replaces is not None:
                self._remove(replaces)
            if self.is_exclusive and self._attached:
                raise EngineError("one memory at a time, and one is there")
            adapter = Adapter(next(self._ids), weights)
            self._attached[adapter.id] = adapter
            return adapter

    def detach(self, adapter: Adapter) -> None:
        """See `Engine.detach`."""
        with self._lock:
            self._remove(adapter)

    def check_lora(self, lora: LoraConfig, *, num_stacked: int = 1) -> None:
        """See `Engine.check_lora`; there is no model that it could not fit."""

    def describe(self) -> Mapping[str, str]:
        """See `Engine.describe`."""
        return {"model": "scripted", "model_hash": "", "dtype": "", "device": "cpu", "strategy": ""}

    def close(self) -> None:
        """See `Engine.close`."""

    def _remove(self, adapter: Adapter) -> None:
        if self._attached.pop(adapter.id, None) is None:
            raise EngineError(f"adapter {adapter.id} is not attached")

    def _check(self, adapter: Adapter | None) -> None:
        if adapter is not None and adapter.id not in self._attached:
            raise EngineError(f"adapter {adapter.id} is not attached")


def _replay(outputs: Iterable[str]) -> Script:
    waiting = iter(outputs)

    def script(prompt: Prompt, adapter: Adapter | None) -> str:
        output = next(waiting, None)
        if output is None:
            raise EngineError("the script has no output left")
        return output

    return script
