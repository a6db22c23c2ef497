"""What goes on with a training beside what was learned: the optimiser and how far it is."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import write_json
from pmi_kernel.training.config import TrainConfig
from pmi_kernel.training.learner import Group

_OPTIMIZER = "optimizer"
_PROGRESS = "progress.json"


@dataclass(slots=True)
class Progress:
    """How far a training is.

    Attributes:
        step: Steps done, skipped ones counted too.
        num_skipped: Steps whose loss or gradient was not finite.
        num_bad: Of these, the last ones in a row.
        num_good: Steps in a row that were not skipped, since the loss scale was last changed.
        loss_scale: What fp16 multiplies losses by, so that small gradients are not lost.
        best_step: The best evaluation's; None before there was one.
        best: Its measure.
        num_worse: Evaluations in a row since it.
        spent_s: Seconds spent.
    """

    step: int = 0
    num_skipped: int = 0
    num_bad: int = 0
    num_good: int = 0
    loss_scale: float = 1.0
    best_step: int | None = None
    best: float | None = None
    num_worse: int = 0
    spent_s: float = 0.0


def make_optimizer(groups: Sequence[Group], config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimiser of these groups, one of its own for each.

    Raises:
        ConfigError: adamw8bit is asked for, and bitsandbytes is not installed.
    """
    parameters = [
        {
            "params": list(group.tensors.values()),
            "lr": config.lr if group.lr is None else group.lr,
            "weight_decay": (
                config.weight_decay if group.weight_decay is None else group.weight_decay
            ),
        }
        for group in groups
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise ConfigError(
            f"optimizer 'adamw8bit' needs bitsandbytes ({error}); install "
            "'pmi-workbench[bitsandbytes]', or use adamw"
        ) from None
    return AdamW8bit(parameters)


def save_state(
    folder: Path, optimizer: torch.optim.Optimizer, groups: Sequence[Group], progress: Progress
) -> None:
    """Write the optimiser's state, by the names of the tensors, and how far the training is."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for name, parameter in _named(groups):
        for part, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{part}"] = value.detach().clone().contiguous()
            else:
                scalars.setdefault(name, {})[part] = value
    save_file(tensors, folder / f"{_OPTIMIZER}.safetensors")
    write_json(folder / f"{_OPTIMIZER}.json", scalars)
    write_json(folder / _PROGRESS, asdict(progress))


def load_state(folder: Path, optimizer: torch.optim.Optimizer, groups: Sequence[Group]) -> Progress:
    """Go on from what `save_state` wrote, in the optimiser, and return how far it was.

    Raises:
        ConfigError: It is of a tensor that is not trained.
    """
    state: dict[str, dict[str, Any]] = json.loads((folder / f"{_OPTIMIZER}.json").read_bytes())
    for key, tensor in load_file(folder / f"{_OPTIMIZER}.safetensors").items():
        name, _, part = key.rpartition("/")
        state.setdefault(name, {})[part] = tensor
    names = [name for name, _ in _named(groups)]
    if unknown := sorted(state.keys() - set(names)):
        raise ConfigError(f"{folder}: {unknown[0]} was trained, and is not now")
    optimizer.load_state_dict(
        {
            "state": {place: state[name] for place, name in enumerate(names) if name in state},
            "param_groups": optimizer.state_dict()["param_groups"],
        }
    )
    return Progress(**json.loads((folder / _PROGRESS).read_bytes()))


def _named(groups: Sequence[Group]) -> list[tuple[str, Tensor]]:
    return [
        (f"{group.name}/{name}", tensor)
        for group in groups
        for name, tensor in group.tensors.items()
    ]
