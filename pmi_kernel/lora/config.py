"""How one memory is trained, and how it goes together with those before it."""

from dataclasses import dataclass
from typing import Literal

from pmi_kernel.lora.start import Start
from pmi_kernel.lora.weights import LoraWeights, stack_loras


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """How one memory is trained.

    Attributes:
        steps: Most optimiser steps.
        lr: Learning rate, at its highest.
        rank: Rank of the update.
        alpha: Scale; the update counts alpha / rank times.
        targets: Last parts of the names of the linear layers to train; empty: every linear layer
            but the output layer.
        depth: Share of the model's blocks that are trained, the last ones, in (0, 1]. Under them
            the forward pass is taken once for all steps, so half of them take half of the time.
        optimizer: adam, adamw (weight decay 0.01), or sgd.
        schedule: The rate over the steps: constant, linear (down to zero) or cosine (the same).
        stop_loss_nats: Training ends before the step at which the loss is below this.
        start: Where a memory begins, one gradient step on each text instead of all of the above;
            it goes on from the memory that is there.
        is_continued: Whether it goes on from the memory that is there, instead of on top of it.
        seed: Seeds the initial A (B starts at zero).
    """

    steps: int = 20
    lr: float = 3e-4
    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ()
    depth: float = 1.0
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    stop_loss_nats: float = 0.0
    start: Start | None = None
    is_continued: bool = False
    seed: int = 0


def accumulate(below: LoraWeights | None, new: LoraWeights, lora: LoraConfig) -> LoraWeights:
    """Return the whole memory after a training: stacked, or `new` where it went on from `below`."""
    return new if lora.is_continued else stack_loras(below, new)
