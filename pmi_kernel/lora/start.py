"""A start: a LoRA from which one gradient step on a passage writes what the passage says.

As a folder: the LoRA in PEFT's format (`adapter_model.safetensors`, `adapter_config.json`), the
step sizes (`steps.safetensors`), and what else the step needs (`start.json`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.lora.weights import LoraWeights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import torch
    from torch import Tensor

StepSizes = Literal["full", "tie", "same", "fix"]
"""One step size a weight, a tensor, for all tensors, or one that is not trained."""

A, B = ".lora_A", ".lora_B"
"""How the names of a LoRA's tensors end, after the layer's: `[rank, in]` and `[out, rank]`."""
_ONE = "all"


@dataclass(frozen=True, slots=True)
class StepOn:
    """How a passage's step is taken.

    Attributes:
        model: The base model's name, and the hash of its files.
        model_hash: The same files give the same gradients.
        alpha: What the step sizes are.
        max_context_len: Most tokens of a passage.
        is_simple: Whether questions are put as a plain text.
    """

    model: str
    model_hash: str
    alpha: StepSizes
    max_context_len: int
    is_simple: bool


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A start with its step sizes, float32.

    Attributes:
        theta: The LoRA's tensors by name, as `pmi_kernel.lora.gradients` has them.
        steps: The step sizes alpha by the same names, each of a shape that broadcasts.
        rank: The LoRA's rank.
        scale: Its scale; the update counts scale / rank times.
        on: How a step is taken.
    """

    theta: Mapping[str, Tensor]
    steps: Mapping[str, Tensor]
    rank: int
    scale: float
    on: StepOn

    @property
    def scaling(self) -> float:
        """The factor scale / rank."""
        return self.scale / self.rank

    @property
    def weights(self) -> LoraWeights:
        """The start itself, as a LoRA."""
        return weights_of(self.theta, rank=self.rank, alpha=self.scale)

    def stepped(
        self, from_: Mapping[str, Tensor], gradients: Iterable[tuple[float, Mapping[str, Tensor]]]
    ) -> LoraWeights:
        """Return tensors less alpha times the weighed sum of gradients, as a LoRA.

        Args:
            from_: The start's own tensors, or those of a memory that was stepped before: all
                gradients are taken at the start, so memories add in any order.
            gradients: How much of each, and its tensors by name.
        """
        totals = {name: tensor.new_zeros(tensor.shape) for name, tensor in from_.items()}
        for weight, gradient in gradients:
            for name, total in totals.items():
                total += weight * gradient[name]
        tensors = {name: from_[name] - self.steps[name] * totals[name] for name in from_}
        return weights_of(tensors, rank=self.rank, alpha=self.scale)

    def save(self, folder: Path, *, dtype: torch.dtype | None = None) -> None:
        """Write it into a folder; in bfloat16 it takes half of the room, rounded."""
        from safetensors.torch import save_file

        self.weights.save(folder, base_model=self.on.model, dtype=dtype)
        is_one = self.on.alpha in ("same", "fix")
        steps = dict(list(self.steps.items())[:1]) if is_one else self.steps
        named = {_ONE if is_one else name: step for name, step in steps.items()}
        tensors = {
            name: step.detach().to(dtype or step.dtype).cpu().contiguous()
            for name, step in named.items()
        }
        save_file(tensors, folder / "steps.safetensors")
        text = json.dumps(asdict(self.on), indent=2)
        (folder / "start.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Start:
        """Read what `save` wrote.

        Raises:
            ConfigError: It is no start, or its tensors do not fit each other; names the first.
        """
        from safetensors.torch import load_file

        try:
            weights = LoraWeights.load(folder)
            found = load_file(folder / "steps.safetensors")
            on = StepOn(**json.loads((folder / "start.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{folder} holds no start of gradient steps ({error})") from None
        theta = tensors_of(weights)
        steps = dict.fromkeys(theta, found[_ONE]) if _ONE in found else found
        wrong = [f"{name} has no step size" for name in theta if name not in steps]
        wrong += [f"{name} is no tensor of the LoRA" for name in steps if name not in theta]
        wrong += [
            f"{name} is {list(theta[name].shape)}, its step sizes {list(step.shape)}"
            for name, step in steps.items()
            if name in theta and step.shape not in ((), theta[name].shape)
        ]
        if wrong:
            raise ConfigError(f"{folder}: the step sizes do not fit the LoRA: {wrong[0]}")
        floats = {name: steps[name].float() for name in theta}
        return cls(theta, floats, weights.rank, float(weights.alpha), on)


@dataclass(frozen=True, slots=True, eq=False)
class Gradient:
    """What one step on a text would change in a start.

    Attributes:
        text: The text.
        tensors: By name, shaped as the start's tensors, on the CPU in float32.
        loss_nats: Mean next-token loss under the start, nats per token.
        num_tokens: Tokens of the text that were read; of a longer one the first.
        cut_tokens: Tokens that were cut off.
    """

    text: str
    tensors: Mapping[str, Tensor]
    loss_nats: float
    num_tokens: int
    cut_tokens: int


def tensors_of(weights: LoraWeights) -> dict[str, Tensor]:
    """Return a LoRA's tensors by name."""
    named = {f"{layer}{A}": tensor for layer, tensor in weights.a.items()}
    return named | {f"{layer}{B}": tensor for layer, tensor in weights.b.items()}


def weights_of(tensors: Mapping[str, Tensor], *, rank: int, alpha: float) -> LoraWeights:
    """Return tensors as a LoRA, on the CPU in float32."""

    def part(end: str) -> dict[str, Tensor]:
        return {
            name.removesuffix(end): tensor.detach().float().cpu().contiguous()
            for name, tensor in tensors.items()
            if name.endswith(end)
        }

    return LoraWeights(part(A), part(B), rank=rank, alpha=alpha)


def initial_steps(theta: Mapping[str, Tensor], alpha: StepSizes, value: float) -> dict[str, Tensor]:
    """Return step sizes that are all `value`, leaves that need a gradient where they are trained.

    With `same` and `fix` all names have the very same tensor.
    """
    if alpha == "full":
        return {
            name: tensor.new_full(tensor.shape, value).requires_grad_()
            for name, tensor in theta.items()
        }
    if alpha == "tie":
        return {name: tensor.new_tensor(value).requires_grad_() for name, tensor in theta.items()}
    one = next(iter(theta.values())).new_tensor(value)
    return dict.fromkeys(theta, one.requires_grad_(alpha == "same"))
