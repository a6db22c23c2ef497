"""How a learner is trained."""

from typing import Annotated, Literal

from pydantic import Field

from pmi_kernel.core.settings import Seed, Settings

_Steps = Annotated[int, Field(ge=1, le=10**9)]
_Interval = _Steps | Literal["epoch"] | None


class TrainConfig(Settings):
    """How a learner is trained; what it is trained on is its own."""

    epochs: Annotated[float, Field(gt=0, le=10**6)] = 1.0
    """Passes over the training data; the last step is filled up with the start of the next one."""
    steps: Annotated[int | None, Field(ge=1, le=10**9)] = None
    """Optimiser steps, in place of epochs."""
    batch: Annotated[int, Field(ge=1, le=10**6)] = 8
    """Samples of a step, over all processes."""
    accumulation: Annotated[int, Field(ge=1, le=10**6)] = 1
    """Micro-batches into which each process divides its part of a step."""
    lr: Annotated[float, Field(gt=0, le=100)] = 1e-4
    """Learning rate at its highest, where a group of parameters has none of its own."""
    schedule: Literal["linear", "cosine", "none"] = "linear"
    """How the rate falls after the warm-up: linear or cosine (both to zero), or none."""
    warmup: Annotated[float, Field(ge=0, le=10**9)] = 0.0
    """Steps over which the rate rises from zero; below 1, a share of all steps."""
    weight_decay: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Weight decay, where a group of parameters has none of its own."""
    clip: Annotated[float | None, Field(gt=0, le=10**9)] = 1.0
    """Largest norm of the whole gradient; a larger one is scaled down to it. None: never."""
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    """What is computed in; parameters stay as they are. auto is bf16 on CUDA that has it, else
    float32; fp16 needs CUDA."""
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    """adamw, or adamw8bit: its state in 8 bits (needs bitsandbytes)."""
    gradient_checkpointing: bool = False
    """Compute activations again on the way back, to save memory, where the learner's model can."""
    log_every: Annotated[int, Field(ge=1, le=10**9)] = 1
    """Steps from one row of the log to the next."""
    eval_every: _Interval = 100
    """Steps from one evaluation to the next, or epoch: after each; None: at the end only."""
    eval_first: bool = True
    """Evaluate before the first step as well."""
    save_every: _Interval = 100
    """Steps from one checkpoint to the next, or epoch: after each; None: the best one and the last
    one only."""
    keep_last: Annotated[int, Field(ge=1, le=10**6)] = 2
    """Checkpoints that are kept, the newest ones; the best one is always kept."""
    patience: Annotated[int | None, Field(ge=1, le=10**6)] = None
    """Training ends after so many evaluations in a row without a better one. None: never."""
    best_by: str = "em"
    """The measure of an evaluation that says which checkpoint is the best."""
    best_is: Literal["highest", "lowest"] = "highest"
    """Whether the best one has the highest or the lowest of it."""
    max_bad_steps: Annotated[int, Field(ge=1, le=10**6)] = 10
    """A step whose loss or gradient is not finite is skipped and counted; so many in a row end the
    training with an error."""
    seed: Seed = 0
    """Seeds every draw: the order of the samples, random, numpy and torch."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is trained: auto is CUDA where there is one."""
