"""LoRA in vLLM's CPU build, grouped by adapter.

vLLM's own CPU wrapper (0.32) gathers an adapter's weights once per token, which is slow, and marks
a token without an adapter by index -1, which there picks the *last* slot: such tokens are answered
under another request's memory. Here tokens are taken adapter by adapter, and a token without one
is in no group, so nothing of any slot can reach it. CUDA builds use kernels of their own.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

_SMALL = 4
"""Groups of at most so many tokens (decoding) are multiplied in one batch."""


class GroupedPunica(PunicaWrapperCPU):
    """Adds `(x @ A^T) @ B^T` of each adapter to its own tokens."""

    ranks: ClassVar[dict[int, int]] = {}
    """Adapter id -> its rank; slots are padded to the engine's largest rank."""

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], *args: Any, **kwargs: Any
    ) -> None:
        """Take note of which tokens of the next forward pass belong to which slot."""
        super().update_metadata(mapping, lora_index_to_id, *args, **kwargs)
        slots = self.token_lora_indices
        tokens = (slots >= 0).nonzero().squeeze(1)
        slots = slots[tokens]
        # Runs of one slot follow each other: a request's tokens are neighbours in a batch.
        values, counts = slots.unique_consecutive(return_counts=True)
        starts = counts.cumsum(0) - counts
        self._tokens, self._slots = tokens, slots
        self._groups = [
            (slot, int(tokens[start]), int(tokens[start]) + count)
            for slot, start, count in zip(
                values.tolist(), starts.tolist(), counts.tolist(), strict=True
            )
        ]
        self._places = torch.arange(len(tokens)) - starts.repeat_interleave(counts)
        # A slot with two runs, or long ones: one product for each run.
        self._is_small = (
            len(self._groups) > 1
            and int(counts.max()) <= _SMALL
            and len(set(values.tolist())) == len(values)
        )
        used = [lora_index_to_id[slot] for slot in values.tolist()]
        self._rank = max((self.ranks.get(i, 1 << 30) for i in used if i is not None), default=0)

    def add_lora_linear(
        self,
        y: Float[Tensor, "tokens outputs"],
        x: Float[Tensor, "tokens inputs"],
        lora_a_stacked: tuple[Float[Tensor, "slots 1 rank inputs"], ...],
        lora_b_stacked: tuple[Float[Tensor, "slots 1 slice rank"], ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_: Any,
    ) -> None:
        """Add to `y`, in place, what each token's adapter makes of `x`."""
        if not self._groups:
            return
        add = self._add_batched if self._is_small else self._add_by_group
        add(y, x, lora_a_stacked, lora_b_stacked, scale, output_slices)

    def _add_by_group(
        self,
        y: Tensor,
        x: Tensor,
        a_slots: Sequence[Tensor],
        b_slots: Sequence[Tensor],
        scale: float,
        output_slices: Sequence[int],
    ) -> None:
        for slot, start, stop in self._groups:
            rows, offset = x[start:stop], 0
            for a, b, width in zip(a_slots, b_slots, output_slices, strict=True):
                low = rows @ a[slot, 0, : self._rank].T.to(rows.dtype)
                y[start:stop, offset : offset + width].addmm_(
                    low, b[slot, 0, :width, : self._rank].T.to(y.dtype), alpha=scale
                )
                offset += width

    def _add_batched(
        self,
        y: Tensor,
        x: Tensor,
        a_slots: Sequence[Tensor],
        b_slots: Sequence[Tensor],
        scale: float,
        output_slices: Sequence[int],
    ) -> None:
        first, last = int(self._slots.min()), int(self._slots.max()) + 1
        slots = self._slots - first
        rows = x.new_zeros(last - first, int(self._places.max()) + 1, x.shape[1])
        rows[slots, self._places] = x[self._tokens]
        offset = 0
        for a, b, width in zip(a_slots, b_slots, output_slices, strict=True):
            low = rows @ a[first:last, 0, : self._rank].mT.to(x.dtype)
            added = low @ b[first:last, 0, :width, : self._rank].mT.to(y.dtype)
            y[self._tokens, offset : offset + width] += scale * added[slots, self._places]
            offset += width

    def add_lora_logits(self, y: Tensor, *_: Any, **__: Any) -> None:
        """Add nothing: no memory has weights for the output layer."""

    def add_lora_embedding(self, y: Tensor, *_: Any, **__: Any) -> None:
        """Add nothing: no memory has weights for the embedding."""
