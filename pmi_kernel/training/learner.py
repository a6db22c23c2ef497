"""What a system brings to be trained; the loop around it is `fit`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sample:
    """Which sample: all that a learner draws for it is a function of the seed and of these.

    Attributes:
        epoch: From 0.
        number: Its place in the training data, in [0, num_samples).
        step: The optimiser step that it is part of, from 0.
    """

    epoch: int
    number: int
    step: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Parameters that share a learning rate.

    Attributes:
        name: Of the group, e.g. `lora`; in the log.
        tensors: Name -> leaf tensor that requires a gradient. One that no micro-batch of a step
            gave a gradient is left as it is in that step.
        lr: Learning rate at its highest; None: `TrainConfig.lr`.
        weight_decay: None: `TrainConfig.weight_decay`.
    """

    name: str
    tensors: Mapping[str, Tensor]
    lr: float | None = None
    weight_decay: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        measures: E.g. `em`; `TrainConfig.best_by` names the one that decides.
        examples: A few, to be read: question, answer, gold, ...
    """

    measures: Mapping[str, float]
    examples: tuple[Mapping[str, str], ...]


class Learner(Protocol):
    """What is trained, on which samples, and how it is measured; holds its model and its data.

    Attributes:
        system: Name of the system that it trains.
        num_samples: Training samples in an epoch; may be millions, which are never listed.

    Where it has a `model` with `gradient_checkpointing_enable`, that is called where
    `TrainConfig.gradient_checkpointing` asks for it.
    """

    system: str
    num_samples: int

    def groups(self) -> Sequence[Group]:
        """Return what is trained; asked once, after `load` where a training is gone on with.

        The tensors lie on the device of the training, which is the current one (`cuda`) before a
        learner is made.
        """
        ...

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        """Add the gradients of a micro-batch's mean loss to the parameters.

        Args:
            samples: The micro-batch.
            backward: To be called with a loss (a scalar), once or more often: scales it and runs
                it back.

        Returns:
            `loss` and its parts, which are averaged, and `num_tokens`, which is summed; the same
            names in every step.
        """
        ...

    def evaluate(self) -> Evaluated:
        """Measure what was learned so far; what it draws does not change the training."""
        ...

    def save(self, folder: Path) -> None:
        """Write what was learned, as safetensors and JSON files, into a folder that is there."""
        ...

    def load(self, folder: Path) -> None:
        """Take what `save` wrote.

        Raises:
            ConfigError: It does not fit: a missing or unexpected tensor, a wrong shape.
        """
        ...

    def facts(self) -> Mapping[str, object]:
        """Return what decides beside the settings: hashes of the model and the data, their names.

        Values that JSON has; a training with other facts is another training.
        """
        ...
