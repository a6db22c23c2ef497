"""The same as plain loops: what the fast forms are tested against, and measured by."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad, silu, softplus

from pmi_kernel.systems.hmst.model.moe import LowRankExperts


def mixture(block: Any, x: Float[Tensor, "batch tokens width"]) -> Tensor:
    """Return what a block of experts makes of states: token by token, expert by expert.

    Args:
        block: `LowRankExperts`, or transformers' block of Mixtral.
        x: The states.
    """
    is_low_rank = isinstance(block, LowRankExperts)
    router = block.router if is_low_rank else block.gate
    expert = _low_rank if is_low_rank else _whole
    out = torch.zeros_like(x)
    for row in range(x.shape[0]):
        for place in range(x.shape[1]):
            token = x[row, place]
            best = (router.weight @ token).softmax(-1).topk(router.top_k)
            for weight, number in zip(best.values, best.indices.tolist(), strict=True):
                out[row, place] += weight / best.values.sum() * expert(block, number, token)
    return out


def _whole(block: Any, number: int, token: Float[Tensor, " width"]) -> Tensor:
    gate, up = (block.experts.gate_up_proj[number] @ token).chunk(2)
    return block.experts.down_proj[number] @ (silu(gate) * up)


def _low_rank(block: LowRankExperts, number: int, token: Float[Tensor, " width"]) -> Tensor:
    gate, up, down = (
        getattr(block.dense, f"{name}_proj").weight
        + (block.a[name][number].T @ block.b[name][number]).T
        for name in ("gate", "up", "down")
    )
    return down @ (silu(gate @ token) * (up @ token))


def scan(
    mixer: Any, x: Float[Tensor, "batch tokens width"]
) -> tuple[Float[Tensor, "batch tokens width"], Float[Tensor, "batch heads head_width state"]]:
    """Return a Mamba-2 mixer's outputs and its last state, one token after the other.

    Args:
        mixer: Transformers' `Mamba2Mixer` of one group.
        x: What is read, from no state.
    """
    inner, state = mixer.intermediate_size, mixer.ssm_state_size
    gate, conv, dt = mixer.in_proj(x).split([inner, mixer.conv_dim, mixer.num_heads], -1)
    kernel = mixer.conv_kernel_size
    padded = pad(conv, (0, 0, kernel - 1, 0))
    weight = mixer.conv1d.weight.squeeze(1).T
    h = x.new_zeros(len(x), mixer.num_heads, mixer.head_dim, state)
    outputs = []
    for place in range(x.shape[1]):
        mixed = (padded[:, place : place + kernel] * weight).sum(1) + mixer.conv1d.bias
        value, b, c = silu(mixed).split([inner, state, state], -1)
        value = value.unflatten(-1, (mixer.num_heads, mixer.head_dim))
        step = softplus(dt[:, place] + mixer.dt_bias)
        decay = torch.exp(-torch.exp(mixer.A_log) * step)
        h = h * decay[..., None, None] + (step[..., None] * value)[..., None] * b[:, None, None]
        y = (h * c[:, None, None]).sum(-1) + mixer.D[:, None] * value
        outputs.append(y.flatten(1))
    return mixer.out_proj(mixer.norm(torch.stack(outputs, 1), gate)), h
