"""Row-wise LoRA: every row of a batch passes the same frozen model under a LoRA of its own.

Forward hooks on the model's linear layers add `(x @ A^T) @ B^T`, batched over rows. Nothing of
the model is changed, so taking a memory out restores the base weights bit by bit, and training
several memories at once is the same forward with A and B as parameters.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pmi_kernel.lora.weights import LoraWeights

RowFactors = Mapping[
    str, tuple[Float[Tensor, "rows inputs rank"], Float[Tensor, "rows rank outputs"]]
]
"""Layer name -> (A transposed, B transposed and scaled), one entry a row."""


_BLOCK = re.compile(r"(.+?)\.\d+\.")
"""A layer's name up to the list that its block is in."""


class LoraRows:
    """Hooks on every linear layer of a model but its output layer.

    Attributes:
        layers: Layer name -> the linear layer, in the model's order.
        blocks: The list of blocks that the layers are in, e.g. the decoder layers; empty where the
            model has none.
    """

    def __init__(self, model: nn.Module) -> None:
        head = getattr(model, "get_output_embeddings", lambda: None)()
        self.layers: dict[str, nn.Linear] = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and module is not head
        }
        lists = (_BLOCK.match(name) for name in self.layers)
        first = next((found[1] for found in lists if found), None)
        self._path = f"{first}." if first else ""
        blocks = model.get_submodule(first) if first else ()
        self.blocks: tuple[nn.Module, ...] = tuple(blocks)  # type: ignore[arg-type]
        self._terms: tuple[RowFactors, ...] = ()
        for name, layer in self.layers.items():
            layer.register_forward_hook(self._hook(name))

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        def add_rows(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            terms = [term[name] for term in self._terms if name in term]
            if not terms:
                return None
            dtype = terms[0][0].dtype
            x, total = inputs[0].to(dtype), output.to(dtype)
            for a, b in terms:  # rows that share factors are one longer row
                along, sums = x.reshape(len(a), -1, x.shape[-1]), (len(a), -1, total.shape[-1])
                total = torch.baddbmm(total.reshape(sums), torch.bmm(along, a), b)
                total = total.reshape(output.shape)
            return total.to(output.dtype)

        return add_rows

    @contextmanager
    def using(self, *terms: RowFactors) -> Iterator[None]:
        """Within the context, row i of every forward pass carries row i of each term, summed.

        A term may have fewer rows than a pass, which then is a multiple of them: so many rows in a
        row share the factors.
        """
        self._terms = tuple(term for term in terms if term)
        try:
            yield
        finally:
            self._terms = ()

    def block_of(self, name: str) -> int:
        """Return the place of a layer's block in `blocks`; -1 where it is in none."""
        inside = bool(self._path) and name.startswith(self._path)
        return int(name.removeprefix(self._path).split(".")[0]) if inside else -1

    @contextmanager
    def running_once(self, num_blocks: int) -> Iterator[None]:
        """Within the context the first blocks run in the first forward pass only.

        What they gave then stands for what they would give: every pass must have the same input,
        and nothing that acts in those blocks may change.
        """
        last: list[Any] = []

        def once(forward: Callable[..., Any], is_last: bool) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                if last:
                    return last[0]
                output = forward(*args, **kwargs)
                if is_last:
                    last.append(output)
                return output

            return run

        below = self.blocks[:num_blocks]
        for place, block in enumerate(below, start=1):
            block.forward = once(block.forward, place == num_blocks)
        try:
            yield
        finally:
            for block in below:
                del block.forward

    def gather(self, rows: Sequence[LoraWeights | None]) -> RowFactors:
        """Return the factors of a batch; a row without a LoRA gets zeros, which add nothing.

        Smaller ranks are padded with zeros. The result is empty when no row has a LoRA.

        Raises:
            ValueError: A LoRA names a layer that the model does not have, or its sizes differ.
        """
        present = [weights for weights in rows if weights is not None]
        factors = {}
        for name in dict.fromkeys(name for weights in present for name in weights.a):
            if name not in self.layers:
                raise ValueError(f"the model has no linear layer {name!r} for the LoRA to act on")
            layer = self.layers[name]
            rank = max(w.rank for w in present)
            a = torch.zeros(len(rows), layer.in_features, rank)
            b = torch.zeros(len(rows), rank, layer.out_features)
            for row, weights in enumerate(rows):
                if weights is not None and name in weights.a:
                    a[row, :, : weights.rank] = weights.a[name].T
                    b[row, : weights.rank] = weights.b[name].T * weights.scaling
            device = layer.weight.device
            factors[name] = (a.to(device), b.to(device))
        return factors
