"""Settings of the PMI system."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pmi_kernel.core.settings import Settings
from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.systems.config import ChatConfig
from pmi_kernel.systems.pmi.recipes import Recipe
from pmi_kernel.systems.pmi.recipes.rehearsal import MAX_REHEARSED

if TYPE_CHECKING:
    from pmi_kernel.lora.config import LoraConfig
    from pmi_kernel.lora.start import Start


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
    mem_recipe: Recipe = "ntp"
    """What to train on: ntp (the text as it is), qa (question-answer pairs that the model writes on
    it), paraphrase (sentences that it writes), mixed (all three), cloze (the text's sentences as
    questions: what surprises the model most is asked for), or gradient (one step on each passage,
    from mem_start)."""
    mem_start: str = ""
    """Checkpoint of `pmi train regrad` for mem_recipe=gradient: regrad-smollm2 (comes with the
    workbench), or a folder. It takes the place of rank, scale, targets, steps and rate."""
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

    def lora(self, seed: int, start: "Start | None" = None) -> "LoraConfig":
        """Return how one memory is trained; `start` is what `mem_start` names."""
        from pmi_kernel.lora.config import LoraConfig

        if start is not None:
            return LoraConfig(
                steps=1, rank=start.rank, alpha=start.scale, start=start, is_continued=True
            )
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


class PmiConfig(ChatConfig, RetrievalConfig, MemoryConfig):
    """Strict MEM1 search agent, with memories trained and injected during the episode."""

    system: ClassVar[str] = "pmi"
    main: ClassVar[tuple[str, ...]] = (
        *("model", "train_mem", "evidence", "retriever", "topk"),
        *("mem_recipe", "mem_steps", "mem_lr"),
    )

    max_steps: Annotated[int, Field(ge=2, le=1_000)] = 4
    """Most actions, the forced first search included; then the answer is `unknown`."""
    evidence: Literal["both", "prompt", "weights"] = "both"
    """Where the model finds evidence: prompt, weights (needs train_mem), or both."""
    compression: Literal["free", "extractive"] = "free"
    """free, or extractive: the snippet can only be sentences of the evidence, in their order."""

    @property
    def learns(self) -> bool:
        """See `SystemConfig.learns`."""
        return self.train_mem

    @model_validator(mode="after")
    def _evidence_reaches_the_model(self) -> Self:
        if self.evidence == "weights" and not self.train_mem:
            raise ValueError("evidence=weights needs train_mem: nothing would reach the model")
        return self

    @model_validator(mode="after")
    def _a_step_has_a_start(self) -> Self:
        if (self.mem_recipe == "gradient") != bool(self.mem_start):
            raise ValueError("mem_recipe=gradient and mem_start go together: one step from a start")
        if self.mem_start and self.mem_rehearse:
            raise ValueError("mem_rehearse is of no use to one gradient step; mem_start rehearsed")
        if self.mem_start and self.strategy != "hot":
            raise ValueError("mem_recipe=gradient needs strategy hot")
        return self

    @model_validator(mode="after")
    def _a_memory_can_be_gone_on_from(self) -> Self:
        if self.mem_accumulate == "continue" and self.strategy != "hot":
            raise ValueError("mem_accumulate=continue needs strategy hot")
        return self
