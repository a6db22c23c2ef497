"""A state-space model that compresses a long text to one vector of fixed size.

Mamba-2 (Dao and Gu 2024, arXiv:2405.21060), by transformers' own classes: the scan over a text is
made in chunks that are computed side by side, and what came before is a state that does not grow.
Without a GPU theirs makes a copy of what all heads share for each head; ours does not.
"""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad, silu, softplus
from transformers import Mamba2Config, Mamba2Model
from transformers.cache_utils import Cache, DynamicCache
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

_HEAD, _EXPAND = 32, 2
_KERNELS = "transformers.integrations.hub_kernels"
logging.getLogger(_KERNELS).addFilter(  # said at each start; on a CPU there are no such kernels
    lambda record: "falling back to its reference" not in record.getMessage()
)


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """What was made of a text.

    Attributes:
        outputs: Of each place, which has seen all places before it.
        summary: Of the last place of each text: all of it in one vector.
        cache: The state after it, to go on from; None where it was not asked for.
    """

    outputs: Float[Tensor, "batch tokens width"]
    summary: Float[Tensor, "batch state"]
    cache: Cache | None


class EpisodicMemorySSM(nn.Module):
    """Reads states of tokens, any number of them, into a vector.

    Args:
        width: Of the states, and of the outputs; a multiple of 16.
        state: Of the summary, and of the recurrence of each head.
        num_layers: Blocks.
        chunk: Tokens that are computed side by side.
    """

    def __init__(
        self, width: int, state: int = 256, *, num_layers: int = 2, chunk: int = 64
    ) -> None:
        super().__init__()
        if width % (_HEAD // _EXPAND):
            raise ValueError(f"width {width} is no multiple of {_HEAD // _EXPAND}")
        self.scan = Mamba2Model(
            Mamba2Config(
                vocab_size=1,
                bos_token_id=0,
                eos_token_id=0,
                pad_token_id=0,
                hidden_size=width,
                num_hidden_layers=num_layers,
                expand=_EXPAND,
                head_dim=_HEAD,
                num_heads=_EXPAND * width // _HEAD,
                state_size=state,
                n_groups=1,
                chunk_size=chunk,
            )
        )
        blocks: Any = self.scan.layers
        for place, block in enumerate(blocks):
            mixer = SharedMixer(self.scan.config, place)
            mixer.load_state_dict(block.mixer.state_dict())
            block.mixer = mixer
        self.summarise = nn.Linear(width, state)

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch tokens"] | None = None,
        *,
        cache: Cache | None = None,
    ) -> Scanned:
        """Read states that come after those of the cache.

        Args:
            hidden: The states.
            mask: Which of them there are, padded on the left; None: all.
            cache: `new_cache`, or that of what was read before; it is changed.
        """
        found = self.scan(
            inputs_embeds=hidden,
            attention_mask=None if mask is None else mask.to(hidden.dtype),
            cache_params=cache,
            use_cache=cache is not None,
        )
        outputs = found.last_hidden_state
        return Scanned(outputs, self.summarise(outputs[:, -1]), cache)

    def new_cache(self) -> Cache:
        """Return the state before anything was read."""
        return DynamicCache(config=self.scan.config)


class SharedMixer(Mamba2Mixer):
    """Transformers' mixer of one group, which computes once what its heads share."""

    def forward(
        self,
        hidden_states: Float[Tensor, "batch tokens width"],
        cache_params: Cache | None = None,
        attention_mask: Float[Tensor, "batch read"] | None = None,
        **kwargs: object,
    ) -> Tensor:
        """See `Mamba2Mixer.forward`; on a GPU it is that."""
        if hidden_states.is_cuda:
            found: Tensor = super().forward(hidden_states, cache_params, attention_mask, **kwargs)
            return found
        count = hidden_states.shape[1]
        there = None if attention_mask is None else attention_mask[:, -count:, None]
        read = hidden_states if there is None else hidden_states * there
        gate, mixed, dt = self.in_proj(read.to(hidden_states.dtype)).split(
            [self.intermediate_size, self.conv_dim, self.num_heads], dim=-1
        )
        mixed, before = mixed.transpose(1, 2), None
        if cache_params is not None:
            if cache_params.has_previous_state(self.layer_idx):
                layer: Any = cache_params.layers[self.layer_idx]
                before = layer.recurrent_states[0]
            mixed = cache_params.update_conv_state(
                mixed, self.layer_idx, conv_kernel_size=self.conv_kernel_size
            )
        mixed = pad(mixed, (self.conv_kernel_size - 1, 0))
        mixed = conv1d(mixed, self.conv1d.weight, self.conv1d.bias, groups=self.conv_dim)
        mixed = silu(mixed[..., -count:]).transpose(1, 2)
        mixed = mixed if there is None else mixed * there
        x, b, c = mixed.float().split(
            [self.intermediate_size, self.ssm_state_size, self.ssm_state_size], dim=-1
        )
        x = x.unflatten(-1, (self.num_heads, self.head_dim))
        step = softplus(dt.float() + self.dt_bias).clamp(*self.time_step_limit)
        out, state = scan_in_chunks(
            x * step[..., None],
            -torch.exp(self.A_log.float()) * step,
            b,
            c,
            before,
            self.chunk_size,
        )
        if cache_params is not None:
            cache_params.update_recurrent_state(state, layer_idx=self.layer_idx)
        out = (out + self.D[:, None] * x).flatten(2)
        projected: Tensor = self.out_proj(self.norm(out, gate).to(hidden_states.dtype))
        return projected


def scan_in_chunks(
    x: Float[Tensor, "batch tokens heads head_width"],
    log_decay: Float[Tensor, "batch tokens heads"],
    b: Float[Tensor, "batch tokens state"],
    c: Float[Tensor, "batch tokens state"],
    before: Float[Tensor, "batch heads head_width state"] | None,
    chunk: int,
) -> tuple[
    Float[Tensor, "batch tokens heads head_width"], Float[Tensor, "batch heads head_width state"]
]:
    """Return outputs and the last state of `h = exp(log_decay) h + x b`, `y = c h`.

    Args:
        x: What goes into each head's state.
        log_decay: Of each head's state, at most 0.
        b: Where it goes, the same for all heads.
        c: Where it is read, the same for all heads.
        before: The state at first; None: nothing.
        chunk: Tokens that are computed side by side; the state goes from chunk to chunk.
    """
    count, heads, width = x.shape[1:]
    short = -count % chunk
    x, log_decay = pad(x, (0, 0, 0, 0, 0, short)), pad(log_decay, (0, 0, 0, short))
    b, c = pad(b, (0, 0, 0, short)), pad(c, (0, 0, 0, short))
    x, log_decay, b, c = (one.unflatten(1, (-1, chunk)) for one in (x, log_decay, b, c))
    since = log_decay.cumsum(2)  # from the chunk's beginning on
    by_head = since.transpose(2, 3)
    gaps = by_head.unsqueeze(-1) - by_head.unsqueeze(-2)
    is_after = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
    weights = gaps.masked_fill(is_after, float("-inf")).exp() * (c @ b.mT).unsqueeze(2)
    within = (weights @ x.transpose(2, 3)).transpose(2, 3)
    left = (since[:, :, -1:] - since).exp()
    made = b.mT @ (x * left[..., None]).flatten(3)
    kept = since[:, :, -1].exp().repeat_interleave(width, -1).unsqueeze(2)
    state = made.new_zeros(made[:, 0].shape) if before is None else before.flatten(1, 2).mT
    read = []
    for place in range(made.shape[1]):
        read.append(c[:, place] @ state)
        state = torch.addcmul(made[:, place], state, kept[:, place])
    carried = torch.stack(read, 1).unflatten(-1, (heads, width))
    out = torch.addcmul(within, carried, since.exp()[..., None])
    return out.flatten(1, 2)[:, :count], state.mT.unflatten(1, (heads, width))
