"""Tensors of a checkpoint, taken into what is trained."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pmi_kernel.core.errors import ConfigError


def take(mine: Mapping[str, Tensor], found: Mapping[str, Tensor], where: Path) -> None:
    """Copy values by name, all of them or none.

    Args:
        mine: What is trained, or answers.
        found: What was read.
        where: Where it was read from.

    Raises:
        ConfigError: A tensor is missing, unexpected, or of another shape; names it.
    """
    if mine.keys() != found.keys():
        name = min(mine.keys() ^ found.keys())
        raise ConfigError(f"{where}: {name} is missing, or is none of this training's")
    for name, tensor in mine.items():
        if tensor.shape != found[name].shape:
            raise ConfigError(
                f"{where}: {name} is {list(found[name].shape)} there, {list(tensor.shape)} here"
            )
    with torch.no_grad():
        for name, tensor in mine.items():
            tensor.copy_(found[name])
