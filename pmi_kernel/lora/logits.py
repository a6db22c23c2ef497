"""Logits only where they are wanted: a vocabulary is wide, and a text longer than its score."""

import inspect
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor, nn


def logits_at(
    model: nn.Module, wanted: Bool[Tensor, "rows positions"]
) -> tuple[Int64[Tensor, " kept"], dict[str, Any]]:
    """Return the positions whose logits a forward pass gives, and the options that make it so.

    Those are the positions that some row wants, or all where the model cannot leave any out.
    """
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        return torch.arange(wanted.shape[1], device=wanted.device), {}
    kept = wanted.any(dim=0).nonzero().squeeze(1)
    return kept, {"logits_to_keep": kept}
