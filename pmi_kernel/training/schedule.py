"""How many steps, and the learning rate of each: functions of the settings alone."""

import math

from pmi_kernel.training.config import TrainConfig


def num_steps(config: TrainConfig, num_samples: int) -> int:
    """Return the steps of the whole training."""
    return config.steps or max(1, math.ceil(config.epochs * num_samples / config.batch))


def rate(config: TrainConfig, step: int, total: int) -> float:
    """Return the share of the highest learning rate in (0, 1] that step `step` (from 0) has."""
    warmup = math.ceil(config.warmup * total) if config.warmup < 1 else int(config.warmup)
    if step < warmup:
        return (step + 1) / warmup
    left = (total - step) / max(1, total - warmup)
    match config.schedule:
        case "linear":
            return left
        case "cosine":
            return 0.5 * (1 - math.cos(math.pi * left))
        case _:
            return 1.0
