"""Settings: small, frozen, checked; they travel to workers, models never do.

A system's config inherits the groups below, so its settings are one flat list, on the command
line too. Each field's description is also its help there.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pmi_kernel.data.text import is_text, shown
from pmi_kernel.errors import ConfigError
from pmi_kernel.prompts import MAX_REHEARSED, MAX_SHOTS

if TYPE_CHECKING:
    from pmi_kernel.engines.base import Engine
    from pmi_kernel.episode import System
    from pmi_kernel.memory.lora import LoraConfig


Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What torch, numpy and a serving engine all take."""


class Settings(BaseModel):
    """Frozen settings that refuse unknown names, numbers that are not finite and half characters.

    Every number has a bound on both sides: far beyond what makes sense, and small enough that it
    fails here and not where memory ends.

    Raises:
        ConfigError: A setting is not right: names it, its value and what it may be.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        str_max_length=10_000,  # with a bound, lone surrogates are refused too
    )

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigError("; ".join(map(_problem, error.errors()))) from None
        for name, value in self:
            if isinstance(value, Path) and not is_text(str(value)):
                raise ConfigError(f"{name} is {shown(str(value))}: the path is not valid text")

    def but(self, **changes: Any) -> Self:
        """Return the settings with some of them changed, checked like any others."""
        return type(self)(**{**self.model_dump(), **changes})


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
    max_rank: Annotated[int, Field(ge=1, le=512)] = 64
    """vllm: largest rank of an episode's memories together; every slot takes room for it."""
    kv_cache_gib: Annotated[float, Field(gt=0, le=4_096)] = 2.0
    """vllm: size of the key-value cache in GiB."""
    seed: Seed = 0
    """Seeds every draw: decoding, LoRA initialisation, random, numpy and torch."""
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Decoding temperature; 0 is greedy."""

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
        )


class PromptConfig(Settings):
    """How questions are put to the model."""

    shots: Annotated[int, Field(ge=0, le=MAX_SHOTS)] = MAX_SHOTS
    """Worked examples (fictional) before each question."""
    answer_tokens: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Most new tokens of an answer or an action."""


class RetrievalConfig(Settings):
    """What a search returns of the question's own paragraphs."""

    retriever: Literal["overlap", "bm25"] = "overlap"
    """Scoring: overlap (shared tokens; the protocol's own) or bm25 (better)."""
    topk: Annotated[int, Field(ge=1, le=100_000)] = 3
    """Passages a search returns."""
    max_chars: Annotated[int, Field(ge=1, le=100_000_000)] = 2000
    """Most characters of evidence; cut at a sentence end."""
    first_query: str | None = None
    """Query of the first search; by default the question's content words."""


class MemoryConfig(Settings):
    """How evidence becomes a memory in the weights."""

    train_mem: bool = False
    """After each search, train a LoRA on the compressed evidence and inject it."""
    mem_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Optimiser steps per memory."""
    mem_lr: Annotated[float, Field(gt=0, le=100)] = 3e-4
    """Learning rate."""
    mem_rank: Annotated[int, Field(ge=1, le=512)] = 8
    """LoRA rank."""
    mem_alpha: Annotated[float, Field(gt=0, le=1e6)] = 16.0
    """LoRA scale; the update counts mem_alpha / mem_rank times."""
    mem_targets: Annotated[tuple[str, ...], Field(max_length=1_000)] = ()
    """Layers to train, e.g. q_proj v_proj; empty: every linear layer but the output layer."""
    mem_depth: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the model's blocks to train, the last ones; half of them train in half the time."""
    mem_recipe: Literal["ntp", "qa", "paraphrase", "mixed", "cloze"] = "ntp"
    """What to train on: ntp (the text as it is), qa (question-answer pairs that the model writes on
    it), paraphrase (sentences that it writes), mixed (all three), or cloze (the text's sentences as
    questions: what surprises the model most is asked for)."""
    mem_source: Literal["snippet", "evidence"] = "snippet"
    """What it is made of: the compressed snippet, or all of the evidence."""
    mem_lines: Annotated[int, Field(ge=1, le=32)] = 6
    """Most pairs, and most sentences, that the model writes; most gaps of a cloze."""
    mem_rehearse: Annotated[int, Field(ge=0, le=MAX_REHEARSED)] = 0
    """Well-known questions learned along, so that a memory is not the answer to everything."""
    mem_loss: Literal["answers", "all"] = "answers"
    """Of a pair, what carries loss: the answer only, or the question too."""
    mem_optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimiser."""
    mem_schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Learning rate over the steps."""
    mem_stop_loss: Annotated[float, Field(ge=0, le=1_000)] = 0.0
    """Training ends once the loss (nats per token) is below this."""
    mem_accumulate: Literal["stack", "continue"] = "stack"
    """A further memory is stacked on the earlier ones, or training goes on from them."""
    snippet_tokens: Annotated[int, Field(ge=2, le=65_536)] = 128
    """Most new tokens of a compressed snippet."""

    def lora(self, seed: int) -> "LoraConfig":
        """Return how one memory is trained."""
        from pmi_kernel.memory.lora import LoraConfig

        return LoraConfig(
            steps=self.mem_steps,
            lr=self.mem_lr,
            rank=self.mem_rank,
            alpha=self.mem_alpha,
            targets=self.mem_targets,
            depth=self.mem_depth,
            optimizer=self.mem_optimizer,
            schedule=self.mem_schedule,
            stop_loss_nats=self.mem_stop_loss,
            is_continued=self.mem_accumulate == "continue",
            seed=seed,
        )


class SystemConfig(EngineConfig, PromptConfig):
    """What every system's config has; a subclass adds its own settings and `build`."""

    system: ClassVar[str]
    """Name of the system."""

    def build(self, engine: "Engine | None" = None) -> "System":
        """Return the system, on `engine` or on one of its own.

        Raises:
            ConfigError: The engine cannot be built.
        """
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Return a short hash of the system's name and every setting."""
        text = json.dumps({"system": self.system, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _problem(error: Mapping[str, Any]) -> str:
    problem = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return problem
    name = ".".join(map(str, error["loc"]))
    return f"{name} is {shown(error['input'])}: {problem}"


def stable_seed(*parts: object) -> int:
    """Return a seed in [0, 2**63) that depends on the parts alone, on any machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
