"""The batched LoRA trainer: K memories, K LoRAs, one forward and backward over one frozen model.

Each row of the batch carries the LoRA of the memory that it belongs to, the loss is the sum of the
memories' own mean losses, and the optimisers are element-wise, so K trainings in one batch are K
separate trainings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from pmi_kernel.core import progress
from pmi_kernel.core.errors import EngineError
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.logits import logits_at
from pmi_kernel.lora.rows import LoraRows
from pmi_kernel.lora.weights import LoraWeights


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One text: its tokens, of which the first `num_given` (and the very first) carry no loss."""

    token_ids: tuple[int, ...]
    num_given: int = 0

    @property
    def num_learned(self) -> int:
        """Tokens that carry loss."""
        return len(self.token_ids) - max(1, self.num_given)


@dataclass(frozen=True, slots=True)
class MemoryTask:
    """One memory to train.

    Attributes:
        rows: Its texts; each step sees all of them, and every token counts the same.
        below: The memory that stays frozen under the new one.
        start: The memory to go on from; the new one has its rank, scale and layers.
        seed: Seeds the initial A.
    """

    rows: tuple[TrainRow, ...]
    below: LoraWeights | None = None
    start: LoraWeights | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """A new LoRA and its loss (mean nats per token) before each step."""

    weights: LoraWeights
    losses_nats: tuple[float, ...]


_CPU_TOKENS = 384
"""Most tokens of one batch on a CPU: more fall out of its caches, and are slower, not faster."""


def train_loras(
    model: nn.Module, rows: LoraRows, tasks: Sequence[MemoryTask], lora: LoraConfig
) -> list[Trained | EngineError]:
    """Train one LoRA per task, together; returns them in the order of the tasks.

    Args:
        model: A causal language model in evaluation mode; its own parameters stay as they are.
        rows: The row-wise hooks of that model.
        tasks: Each with at least one row, and a token that carries loss in each row.
        lora: Shared by all tasks, except for its seed.

    Returns:
        For each task its LoRA, or the error that it alone met: a loss or weight that was not
        finite. Tasks do not mix, so an error in one leaves the others as they are.

    Raises:
        ValueError: A row has no token that carries loss, no layer matches `lora.targets`, or a
            memory to go on from has other layers.
        Stopped: A stop was asked for.
    """
    if any(row.num_learned < 1 for task in tasks for row in task.rows):
        raise ValueError("next-token training needs at least two tokens, and one that carries loss")
    device = next(model.parameters()).device
    done: dict[int, Trained | EngineError] = {}
    for places in _parts(tasks, _CPU_TOKENS if device.type == "cpu" else None):
        part = [tasks[place] for place in places]
        done |= zip(places, _train_together(model, rows, part, lora, device), strict=True)
    return [done[place] for place in range(len(tasks))]


def check_continues(memory: LoraWeights | None, lora: LoraConfig) -> None:
    """Raise `EngineError` where a memory cannot be gone on from under a lora."""
    if memory is not None and (memory.rank, memory.alpha) != (lora.rank, lora.alpha):
        raise EngineError(
            f"a memory of rank {memory.rank} and alpha {memory.alpha} cannot be gone on from with "
            f"rank {lora.rank} and alpha {lora.alpha}"
        )


def _parts(tasks: Sequence[MemoryTask], most: int | None) -> list[list[int]]:
    """The tasks' places in parts of at most so many tokens, of like length, as rows are padded.

    A task is never split.
    """
    if most is None:
        return [list(range(len(tasks)))] if tasks else []
    parts: list[list[int]] = []
    num_rows = 0
    for place in sorted(range(len(tasks)), key=lambda place: _longest(tasks[place])):
        num_rows += len(tasks[place].rows)
        if not parts or num_rows * _longest(tasks[place]) > most:
            parts.append([])
            num_rows = len(tasks[place].rows)
        parts[-1].append(place)
    return parts


def _longest(task: MemoryTask) -> int:
    return max(len(row.token_ids) for row in task.rows)


def _train_together(
    model: nn.Module,
    rows: LoraRows,
    tasks: Sequence[MemoryTask],
    lora: LoraConfig,
    device: torch.device,
) -> list[Trained | EngineError]:
    names = select_layers(rows, lora.targets, lora.depth)
    num_below = max(0, min(rows.block_of(name) for name in names))
    for task in tasks:
        if task.start is not None and set(task.start.a) != set(names):
            raise ValueError("the memory to go on from has other layers than its own")
    scaling = lora.alpha / lora.rank
    a, b = _initial_factors(rows, names, tasks, lora.rank, device)
    batch = _Batch(model, tasks, device)
    below = rows.gather([task.below for task in tasks for _ in task.rows])
    optimizer = _make_optimizer([*a.values(), *b.values()], lora)
    ended: dict[int, Trained | EngineError] = {}
    history: list[Tensor] = []
    with torch.enable_grad(), rows.running_once(num_below):
        progress.at(progress.Phase.TRAINING, 0, lora.steps)
        for step in range(lora.steps):
            for group in optimizer.param_groups:
                group["lr"] = lora.lr * _rate(lora, step)
            trained = {
                name: (batch.per_row(a[name]), batch.per_row(b[name]) * scaling) for name in names
            }
            with rows.using(below, trained):
                losses = batch.losses()
                progress.check()
                losses.sum().backward()
            history.append(losses.detach())
            loss_nats = partial(_mean, history[-1])
            progress.at(progress.Phase.TRAINING, step + 1, lora.steps, loss_nats=loss_nats)
            if lora.stop_loss_nats > 0:
                for place, loss in enumerate(history[-1].tolist()):
                    if loss < lora.stop_loss_nats and place not in ended:
                        ended[place] = _finish(place, torch.stack(history), a, b, lora)
                if len(ended) == len(tasks):
                    break
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    by_step = torch.stack(history) if history else torch.zeros(0, len(tasks))
    return [
        ended[place] if place in ended else _finish(place, by_step, a, b, lora)
        for place in range(len(tasks))
    ]


def _mean(losses: Tensor) -> float:
    return float(losses.mean())


def _make_optimizer(parameters: list[Tensor], lora: LoraConfig) -> torch.optim.Optimizer:
    if lora.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=lora.lr, fused=True)
    kind = torch.optim.AdamW if lora.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=lora.lr, fused=True)


def _rate(lora: LoraConfig, step: int) -> float:
    """What the learning rate is multiplied with at a step, counted from 0."""
    left = 1 - step / lora.steps
    if lora.schedule == "linear":
        return left
    return (1 + math.cos(math.pi * (1 - left))) / 2 if lora.schedule == "cosine" else 1.0


def select_layers(
    rows: LoraRows, targets: Sequence[str], depth: float = 1.0, *, blocks: Sequence[int] = ()
) -> list[str]:
    """Return the names of the layers whose last part is in `targets` (all layers where empty).

    Args:
        rows: The hooks of the model.
        targets: Last parts of names.
        depth: Share of the blocks, the last ones; of a share of a block, the whole block.
        blocks: Blocks by their place, from 0, instead of a share.

    Raises:
        ValueError: A target matches no layer, or there is no such block.
    """
    parts = {name.rsplit(".", 1)[-1] for name in rows.layers}
    unknown = sorted(set(targets) - parts)
    if unknown:
        raise ValueError(f"no layer is called {', '.join(unknown)}; there are {sorted(parts)}")
    if absent := [place for place in blocks if place >= len(rows.blocks)]:
        raise ValueError(f"there is no block {absent[0]}; there are {len(rows.blocks)}, from 0")
    first = len(rows.blocks) - math.ceil(depth * len(rows.blocks))
    return [
        name
        for name in rows.layers
        if (not targets or name.rsplit(".", 1)[-1] in targets)
        and (
            rows.block_of(name) in blocks if blocks else depth == 1 or rows.block_of(name) >= first
        )
    ]


def _initial_factors(
    rows: LoraRows,
    names: Sequence[str],
    tasks: Sequence[MemoryTask],
    rank: int,
    device: torch.device,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A as PEFT draws it, uniform within 1 / sqrt(inputs) and from each task's own seed; B zero.

    A task that goes on from a memory begins with its A and B.
    """
    generators = [torch.Generator().manual_seed(task.seed) for task in tasks]
    a, b = {}, {}
    for name in names:
        layer = rows.layers[name]
        bound = 1 / math.sqrt(layer.in_features)
        drawn = [
            torch.empty(rank, layer.in_features).uniform_(-bound, bound, generator=generator).T
            for generator in generators
        ]
        zeros = [torch.zeros(rank, layer.out_features) for _ in tasks]
        for place, task in enumerate(tasks):
            if task.start is not None and name in task.start.a:
                drawn[place], zeros[place] = task.start.a[name].T, task.start.b[name].T
        a[name] = torch.stack(drawn).to(device).requires_grad_()
        b[name] = torch.stack(zeros).to(device).requires_grad_()
    return a, b


class _Batch:
    """The rows of all tasks, padded, and which task owns each.

    Args:
        model: Takes them.
        tasks: What is trained.
        device: Where.
    """

    def __init__(self, model: nn.Module, tasks: Sequence[MemoryTask], device: torch.device) -> None:
        self._model = model
        texts = [row for task in tasks for row in task.rows]
        longest = max(len(row.token_ids) for row in texts)
        self._ids = torch.zeros(len(texts), longest, dtype=torch.long)
        self._mask = torch.zeros(len(texts), longest, dtype=torch.long)
        # The targets are shifted, not the logits: a slice of those would be copied, and they are
        # large. `weights` says which positions' next token carries loss.
        self._weights = torch.zeros(len(texts), longest)
        for place, row in enumerate(texts):
            size = len(row.token_ids)
            self._ids[place, :size] = torch.tensor(row.token_ids)
            self._mask[place, :size] = 1
            self._weights[place, max(1, row.num_given) - 1 : size - 1] = 1
        owners = [number for number, task in enumerate(tasks) for _ in task.rows]
        self._owners = torch.tensor(owners, device=device)
        self._is_one_each = len(owners) == len(tasks)
        self._targets = self._ids.roll(-1, dims=1)
        kept, self._options = logits_at(model, self._weights.bool().to(device))
        self._targets = self._targets.to(device)[:, kept]
        self._weights = self._weights.to(device)[:, kept]
        self._ids, self._mask = self._ids.to(device), self._mask.to(device)
        self._num_learned = self._per_task(self._weights.sum(dim=1), len(tasks))
        self._num_tasks = len(tasks)

    def per_row(self, factors: Tensor) -> Tensor:
        """Return each row's factors, `[rows, ...]`, from those of the tasks."""
        return factors if self._is_one_each else factors[self._owners]

    def losses(self) -> Tensor:
        """Return the mean next-token cross-entropy of each task, `[tasks]`, in nats per token."""
        logits = self._model(
            input_ids=self._ids, attention_mask=self._mask, use_cache=False, **self._options
        ).logits
        losses = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), self._targets.flatten(), reduction="none"
        )
        by_row = (losses.view_as(self._weights) * self._weights).sum(dim=1)
        return self._per_task(by_row, self._num_tasks) / self._num_learned

    def _per_task(self, by_row: Tensor, num_jobs: int) -> Tensor:
        return by_row.new_zeros(num_jobs).index_add(0, self._owners, by_row)


def _finish(
    task: int,
    by_step: Tensor,
    a: dict[str, Tensor],
    b: dict[str, Tensor],
    lora: LoraConfig,
) -> Trained | EngineError:
    losses = by_step[:, task].tolist()
    bad = next((step for step, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if bad is not None:
        return EngineError(
            f"the training loss was {losses[bad]} at step {bad + 1} of {lora.steps} "
            f"(learning rate {lora.lr}); lower it"
        )
    weights = LoraWeights(
        {name: _taken(t[task]) for name, t in a.items()},
        {name: _taken(t[task]) for name, t in b.items()},
        rank=lora.rank,
        alpha=lora.alpha,
    )
    if not all(bool(t.isfinite().all()) for d in (weights.a, weights.b) for t in d.values()):
        return EngineError(f"a trained weight is not finite (learning rate {lora.lr}); lower it")
    return Trained(weights, tuple(losses))


def _taken(factor: Tensor) -> Tensor:
    """A copy, transposed, on the CPU: training may go on."""
    return factor.detach().T.clone(memory_format=torch.contiguous_format).cpu()
