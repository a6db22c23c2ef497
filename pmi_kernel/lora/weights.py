"""LoRA weights as values: made by training, stacked, merged, and stored in PEFT's format.

LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1): a linear layer's weight
`W [out, in]` acts as `W + (alpha / rank) * B @ A`, with `A [rank, in]` and `B [out, rank]`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from jaxtyping import Float
    from torch import Tensor

_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True, eq=False)
class LoraWeights:
    """One low-rank update of a model's linear layers, on the CPU in float32.

    Attributes:
        a: Layer name -> A, `[rank, in]`.
        b: Layer name -> B, `[out, rank]`.
        rank: The rank.
        alpha: The scale, as in PEFT: the update is (alpha / rank) * B @ A.
    """

    a: Mapping[str, Float[Tensor, "rank inputs"]]
    b: Mapping[str, Float[Tensor, "outputs rank"]]
    rank: int
    alpha: float

    @property
    def scaling(self) -> float:
        """The factor alpha / rank."""
        return self.alpha / self.rank

    @property
    def num_bytes(self) -> int:
        """Size of all A and B."""
        return sum(t.numel() * t.element_size() for d in (self.a, self.b) for t in d.values())

    def delta(self, name: str) -> Float[Tensor, "outputs inputs"]:
        """Return the whole update of one layer, (alpha / rank) * B @ A."""
        return (self.b[name] @ self.a[name]) * self.scaling

    def norms(self) -> dict[str, float]:
        """Return each layer's Frobenius norm of the update, without forming the update.

        Uses ||B A||_F^2 = trace((B^T B)(A A^T)), which costs O(rank^2 (in + out)).
        """
        return {
            name: self.scaling
            * math.sqrt(max(0.0, float(((self.b[name].T @ self.b[name]) * (a @ a.T)).sum())))
            for name, a in self.a.items()
        }

    def save(self, folder: Path, *, base_model: str, dtype: torch.dtype | None = None) -> None:
        """Write `adapter_model.safetensors` and `adapter_config.json` as PEFT reads them.

        Args:
            folder: Where; made where it is not there.
            base_model: Name of the model that it is for.
            dtype: Rounded to this; by default as it is.
        """
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{_PREFIX}{name}.{part}.weight": tensor.to(dtype or tensor.dtype).contiguous()
            for part, named in (("lora_A", self.a), ("lora_B", self.b))
            for name, tensor in named.items()
        }
        save_file(tensors, folder / "adapter_model.safetensors")
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base_model,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "target_modules": sorted(self.a),
            "inference_mode": True,
        }
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LoraWeights:
        """Read a LoRA in PEFT's format.

        Raises:
            OSError: A file is missing.
            ValueError: The adapter is not a plain LoRA.
        """
        from safetensors.torch import load_file

        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("use_rslora"):
            raise ValueError(f"{folder}: only plain LoRA adapters can be read")
        tensors = load_file(folder / "adapter_model.safetensors")
        parts: dict[str, dict[str, Tensor]] = {"lora_A": {}, "lora_B": {}}
        for key, tensor in tensors.items():
            name, part, _ = key.removeprefix(_PREFIX).rsplit(".", 2)
            parts[part][name] = tensor.float()
        return cls(parts["lora_A"], parts["lora_B"], config["r"], config["lora_alpha"])


def stack_loras(below: LoraWeights | None, above: LoraWeights) -> LoraWeights:
    """Return one LoRA that acts as `below` and `above` together: ranks add up, updates add up."""
    if below is None:
        return above
    import torch

    def join(name: str) -> tuple[Tensor, Tensor]:
        both = [w for w in (below, above) if name in w.a]
        a = torch.cat([w.a[name] for w in both])
        b = torch.cat([w.b[name] * w.scaling for w in both], dim=1)
        missing = below.rank + above.rank - a.shape[0]
        if missing:
            a = torch.cat([a, a.new_zeros(missing, a.shape[1])])
            b = torch.cat([b, b.new_zeros(b.shape[0], missing)], dim=1)
        return a, b

    rank = below.rank + above.rank
    pairs = {name: join(name) for name in {**below.a, **above.a}}
    return LoraWeights(
        {name: a for name, (a, _) in pairs.items()},
        {name: b for name, (_, b) in pairs.items()},
        rank=rank,
        alpha=float(rank),
    )
