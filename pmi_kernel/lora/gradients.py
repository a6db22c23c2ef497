"""A gradient as a memory: what one step on a passage would change in a LoRA's tensors.

From a start theta, a passage's memory is g, the gradient of its mean next-token loss with respect
to theta; a model that holds passages is theta - alpha * sum of their g (retrievable gradients, the
inner step of MAML: Finn et al. 2017, arXiv:1703.03400). All g are taken at the same start, so they
add in any order, can be subtracted again, and none overwrites another.

Tensors are named and shaped as PEFT does: `LAYER.lora_A` is `[rank, in]`, `LAYER.lora_B` is
`[out, rank]`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from pmi_kernel.lora.rows import LoraRows, RowFactors
from pmi_kernel.lora.start import A, B
from pmi_kernel.lora.training import TrainRow

Tensors = Mapping[str, Tensor]
"""A LoRA's tensors by name; those of several rows or passages with these as the first dimension."""


def row_factors(tensors: Tensors, scaling: float) -> RowFactors:
    """Return the factors of a batch from tensors whose first dimension is the row."""
    layers = (name.removesuffix(A) for name in tensors if name.endswith(A))
    return {
        layer: (
            tensors[f"{layer}{A}"].transpose(1, 2),
            tensors[f"{layer}{B}"].transpose(1, 2) * scaling,
        )
        for layer in layers
    }


def initial_tensors(
    rows: LoraRows, names: Sequence[str], rank: int, seed: int, device: torch.device
) -> dict[str, Tensor]:
    """Return a LoRA's tensors as PEFT begins: A uniform within 1 / sqrt(inputs), B zero.

    Args:
        rows: The hooks of the model.
        names: Its layers that carry the LoRA.
        rank: The rank.
        seed: Seeds A.
        device: Where they are to be; they require a gradient there.
    """
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    for name in names:
        layer = rows.layers[name]
        bound = 1 / math.sqrt(layer.in_features)
        a = torch.empty(rank, layer.in_features).uniform_(-bound, bound, generator=generator)
        found[f"{name}{A}"], found[f"{name}{B}"] = a, torch.zeros(layer.out_features, rank)
    return {name: tensor.to(device).requires_grad_() for name, tensor in found.items()}


class Rows:
    """Texts as one batch: padded on the right, with the places whose next token carries loss."""

    def __init__(self, texts: Sequence[TrainRow], device: torch.device) -> None:
        longest = max(len(text.token_ids) for text in texts)
        self.ids: Int64[Tensor, "rows tokens"] = torch.zeros(len(texts), longest, dtype=torch.long)
        chosen = torch.zeros(len(texts), longest, dtype=torch.bool)
        for row, text in enumerate(texts):
            size = len(text.token_ids)
            self.ids[row, :size] = torch.tensor(text.token_ids)
            chosen[row, max(1, text.num_given) - 1 : size - 1] = True
        self.targets: Int64[Tensor, " chosen"] = self.ids.roll(-1, 1)[chosen].to(device)
        self.owners: Int64[Tensor, " chosen"] = chosen.nonzero()[:, 0].to(device)
        self.is_first: Bool[Tensor, " chosen"] = self.owners.diff(prepend=self.owners[:1] - 1) > 0
        self.ids, self.chosen = self.ids.to(device), chosen.to(device)

    @property
    def num_tokens(self) -> int:
        """Tokens that carry loss."""
        return len(self.targets)

    def mean(
        self, values: Float[Tensor, " chosen"], *, first: float = 1.0
    ) -> Float[Tensor, " rows"]:
        """Return each row's mean of what its chosen places have; the first one counts so much."""
        weights = torch.where(self.is_first, first, 1.0).to(values)
        zeros = values.new_zeros(len(self.ids))
        totals = zeros.index_add(0, self.owners, weights * values)
        return totals / zeros.index_add(0, self.owners, weights)


def logits_of(
    model: nn.Module, ids: Int64[Tensor, "rows tokens"], chosen: Bool[Tensor, "rows tokens"]
) -> Float[Tensor, "chosen vocabulary"]:
    """Return the logits at the chosen places alone, rows in order: the output layer is wide."""
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    handle = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][chosen][None],))
    try:
        logits: Tensor = model(input_ids=ids, use_cache=False).logits[0]
    finally:
        handle.remove()
    return logits


def head_logits(
    model: nn.Module, hidden: Float[Tensor, "chosen hidden"]
) -> Float[Tensor, "chosen vocabulary"]:
    """Return the logits of what the output layer once got; as `logits_of` of the same places."""
    logits: Tensor = model.get_output_embeddings()(hidden)  # type: ignore[operator]
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def losses(model: nn.Module, rows: Rows, *, first: float = 1.0) -> Float[Tensor, " rows"]:
    """Return each row's mean next-token loss, in nats per token, under what is in force.

    Args:
        model: A causal language model.
        rows: The texts.
        first: How many times the first token that carries loss counts.
    """
    logits = logits_of(model, rows.ids, rows.chosen)
    logits = logits.to(torch.promote_types(torch.float32, logits.dtype))
    found = nn.functional.cross_entropy(logits, rows.targets, reduction="none")
    return rows.mean(found, first=first)


def passage_gradients(
    model: nn.Module,
    lora_rows: LoraRows,
    theta: Tensors,
    passages: Sequence[TrainRow],
    *,
    scaling: float,
    create_graph: bool = False,
) -> tuple[dict[str, Tensor], Float[Tensor, " passages"]]:
    """Return each passage's gradient, in one forward and backward pass, and each one's loss.

    Every row of the batch has theta as factors of its own, so that the gradients stay apart. Blocks
    below the first layer of theta run without a graph.

    Args:
        model: A causal language model in evaluation mode, none of whose parameters needs a
            gradient. With `create_graph` its attention must have a double backward; see
            `differentiable_twice`.
        lora_rows: The row-wise hooks of that model.
        theta: The start.
        passages: Their tokens, two or more each.
        scaling: By how much B A counts: alpha / rank of the LoRA.
        create_graph: Whether the gradients are to be differentiated by theta.

    Returns:
        By name the gradients, `[passages, ...]`; and the losses in nats per token.
    """
    batch = Rows(passages, _device(model))
    rows = {
        name: tensor.expand(len(passages), *tensor.shape)
        if create_graph
        else tensor.detach().expand(len(passages), *tensor.shape).requires_grad_()
        for name, tensor in theta.items()
    }
    with torch.enable_grad(), lora_rows.using(row_factors(rows, scaling)):
        loss = losses(model, batch)
        found = torch.autograd.grad(loss.sum(), list(rows.values()), create_graph=create_graph)
    return dict(zip(rows, found, strict=True)), loss


def adapted(
    theta: Tensors,
    steps: Mapping[str, Tensor],
    gradients: Tensors,
    shares: Float[Tensor, "rows passages"],
) -> dict[str, Tensor]:
    """Return theta - alpha * sum of gradients for each row, by name `[rows, ...]`.

    Args:
        theta: The start.
        steps: The step sizes alpha by name, each of a shape that broadcasts with the tensor's.
        gradients: By name, `[passages, ...]`.
        shares: How much of each passage's gradient a row gets: 1 where it has the passage, else 0.
    """
    return {
        name: tensor[None] - steps[name] * torch.tensordot(shares, gradients[name], dims=1)
        for name, tensor in theta.items()
    }


@contextmanager
def differentiable_twice(model: Any) -> Iterator[None]:
    """Within the context the model's attention is one whose gradient has a gradient.

    Fused attention has none, on a CPU neither: transformers' `eager` is plain matrix products.
    """
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
