"""The batched LoRA trainer: K snippets, K LoRAs, one forward and backward over one frozen model.

Row i of the batch carries LoRA i, the loss is the sum of the rows' own mean losses, and Adam is
element-wise, so K trainings in one batch are K separate trainings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pmi_kernel.errors import EngineError
from pmi_kernel.memory.lora import LoraRecipe, LoraWeights
from pmi_kernel.memory.rows import LoraRows


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One snippet to train on.

    Attributes:
        token_ids: Its tokens; every one but the first carries loss.
        below: The memory that stays frozen under the new one.
        seed: Seeds the initial A.
    """

    token_ids: tuple[int, ...]
    below: LoraWeights | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """A new LoRA and its loss (mean nats per token) before each step."""

    weights: LoraWeights
    losses_nats: tuple[float, ...]


_CPU_ROWS = 8
"""Most rows of one batch on a CPU: more fall out of its caches, and are slower, not faster."""


def train_loras(
    model: nn.Module, rows: LoraRows, jobs: Sequence[TrainJob], recipe: LoraRecipe
) -> list[Trained | EngineError]:
    """Train one LoRA per job, together; returns them in the order of the jobs.

    Args:
        model: A causal language model in evaluation mode; its own parameters stay as they are.
        rows: The row-wise hooks of that model.
        jobs: Each with at least two tokens.
        recipe: Shared by all jobs, except for its seed.

    Returns:
        For each job its LoRA, or the error that it alone met: a loss or weight that was not
        finite. Rows do not mix, so an error in one leaves the others as they are.

    Raises:
        ValueError: A job has fewer than two tokens, or no layer matches `recipe.targets`.
    """
    if any(len(job.token_ids) < 2 for job in jobs):
        raise ValueError("next-token training needs at least two tokens")
    if next(model.parameters()).device.type == "cpu" and len(jobs) > _CPU_ROWS:
        parts = [jobs[start : start + _CPU_ROWS] for start in range(0, len(jobs), _CPU_ROWS)]
        return [one for part in parts for one in train_loras(model, rows, part, recipe)]
    device = next(model.parameters()).device
    names = select_layers(rows, recipe.targets)
    scaling = recipe.alpha / recipe.rank
    a, b = _initial_factors(rows, names, jobs, recipe.rank, device)
    ids, mask = _pad_right([job.token_ids for job in jobs], device)
    below = rows.gather([job.below for job in jobs])
    optimizer = torch.optim.Adam([*a.values(), *b.values()], lr=recipe.lr, foreach=True)
    history: list[Tensor] = []
    for _ in range(recipe.steps):
        trained = {name: (a[name], b[name] * scaling) for name in names}
        with torch.enable_grad(), rows.using(below, trained):
            losses = _row_losses(model, ids, mask)
            losses.sum().backward()
        history.append(losses.detach())
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    by_row = torch.stack(history, dim=1).tolist() if history else [[] for _ in jobs]
    return [_finish(row, by_row[row], a, b, recipe) for row in range(len(jobs))]


def select_layers(rows: LoraRows, targets: Sequence[str]) -> list[str]:
    """Return the names of the layers whose last part is in `targets` (all layers where empty).

    Raises:
        ValueError: A target matches no layer.
    """
    parts = {name.rsplit(".", 1)[-1] for name in rows.layers}
    unknown = sorted(set(targets) - parts)
    if unknown:
        raise ValueError(f"no layer is called {', '.join(unknown)}; there are {sorted(parts)}")
    return [name for name in rows.layers if not targets or name.rsplit(".", 1)[-1] in targets]


def _initial_factors(
    rows: LoraRows, names: Sequence[str], jobs: Sequence[TrainJob], rank: int, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A as PEFT draws it, uniform within 1 / sqrt(inputs) and from each job's own seed; B zero."""
    generators = [torch.Generator().manual_seed(job.seed) for job in jobs]
    a, b = {}, {}
    for name in names:
        layer = rows.layers[name]
        bound = 1 / math.sqrt(layer.in_features)
        drawn = [
            torch.empty(rank, layer.in_features).uniform_(-bound, bound, generator=generator).T
            for generator in generators
        ]
        a[name] = torch.stack(drawn).to(device).requires_grad_()
        b[name] = torch.zeros(
            len(jobs), rank, layer.out_features, device=device, requires_grad=True
        )
    return a, b


def _pad_right(token_ids: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(len(ids) for ids in token_ids)
    ids = torch.zeros(len(token_ids), longest, dtype=torch.long)
    mask = torch.zeros(len(token_ids), longest, dtype=torch.long)
    for row, tokens in enumerate(token_ids):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return ids.to(device), mask.to(device)


def _row_losses(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """Mean next-token cross-entropy of each row, `[rows]`, in nats per token."""
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
    # The targets are shifted, not the logits: a slice of those would be copied, and they are large.
    targets, weights = ids.roll(-1, dims=1), mask.roll(-1, dims=1)
    weights[:, -1] = 0
    losses = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    losses = losses.view_as(ids) * weights
    return losses.sum(dim=1) / weights.sum(dim=1)


def _finish(
    row: int,
    losses: Sequence[float],
    a: dict[str, Tensor],
    b: dict[str, Tensor],
    recipe: LoraRecipe,
) -> Trained | EngineError:
    bad = next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if bad is not None:
        return EngineError(
            f"the training loss was {losses[bad]} at step {bad + 1} of {recipe.steps} "
            f"(lr {recipe.lr}); lower mem_lr"
        )
    weights = LoraWeights(
        {name: t[row].detach().T.contiguous().cpu() for name, t in a.items()},
        {name: t[row].detach().T.contiguous().cpu() for name, t in b.items()},
        rank=recipe.rank,
        alpha=recipe.alpha,
    )
    if not all(bool(t.isfinite().all()) for d in (weights.a, weights.b) for t in d.values()):
        return EngineError(f"a trained weight is not finite (lr {recipe.lr}); lower mem_lr")
    return Trained(weights, tuple(losses))
