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
"""Groups of at most so many tokens (decoding) are multiplied in one batch, where there are some."""
_FEW = 4
"""Up to so many of them it is not worth it: a batch reads the slots in between too."""


class _Batch:
    """Short runs of different slots, as one batch from the first of their slots to the last."""

    def __init__(self, groups: Sequence[tuple[int, int, int]]) -> None:
        slots = [slot for slot, start, stop in groups for _ in range(start, stop)]
        self.first, self.last = min(slots), max(slots) + 1
        self.longest = max(stop - start for _, start, stop in groups)
        self.slots = torch.tensor(slots) - self.first
        self.tokens = torch.tensor([at for _, start, stop in groups for at in range(start, stop)])
        self.places = torch.tensor([at for _, start, stop in groups for at in range(stop - start)])


class GroupedPunica(PunicaWrapperCPU):
    """Adds `(x @ A^T) @ B^T` of each adapter to its own tokens."""

    ranks: ClassVar[dict[int, int]] = {}
    """Adapter id -> its rank; slots are padded to the engine's largest rank."""

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], *args: Any, **kwargs: Any
    ) -> None:
        """Take note of which tokens of the next forward pass belong to which slot."""
        super().update_metadata(mapping, lora_index_to_id, *args, **kwargs)
        # Runs of one slot: a request's tokens are neighbours in a batch.
        values, counts = self.token_lora_indices.unique_consecutive(return_counts=True)
        groups: list[tuple[int, int, int]] = []
        start = 0
        for slot, count in zip(values.tolist(), counts.tolist(), strict=True):
            if slot >= 0:
                groups.append((slot, start, start + count))
            start += count
        small = [group for group in groups if group[2] - group[1] <= _SMALL]
        is_batched = len(small) > _FEW and len({slot for slot, _, _ in small}) == len(small)
        self._loops = [group for group in groups if not (is_batched and group in small)]
        self._batch = _Batch(small) if is_batched else None
        used = [lora_index_to_id[slot] for slot, _, _ in groups]
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
        if self._loops:
            self._add_by_group(y, x, lora_a_stacked, lora_b_stacked, scale, output_slices)
        if self._batch is not None:
            self._add_batched(y, x, lora_a_stacked, lora_b_stacked, scale, output_slices)

    def _add_by_group(
        self,
        y: Tensor,
        x: Tensor,
        a_slots: Sequence[Tensor],
        b_slots: Sequence[Tensor],
        scale: float,
        output_slices: Sequence[int],
    ) -> None:
        for slot, start, stop in self._loops:
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
        batch = self._batch
        assert batch is not None
        first, last = batch.first, batch.last
        rows = x.new_zeros(last - first, batch.longest, x.shape[1])
        rows[batch.slots, batch.places] = x[batch.tokens]
        offset = 0
        for a, b, width in zip(a_slots, b_slots, output_slices, strict=True):
            low = rows @ a[first:last, 0, : self._rank].mT.to(x.dtype)
            added = low @ b[first:last, 0, :width, : self._rank].mT.to(y.dtype)
            y[batch.tokens, offset : offset + width] += scale * added[batch.slots, batch.places]
            offset += width

    def add_lora_logits(self, y: Tensor, *_: Any, **__: Any) -> None:
        """Add nothing: no memory has weights for the output layer."""

    def add_lora_embedding(self, y: Tensor, *_: Any, **__: Any) -> None:
        """Add nothing: no memory has weights for the embedding."""
