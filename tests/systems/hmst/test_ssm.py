"""The state-space memory: what is computed side by side is what one step after the other gives."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pmi_kernel.systems.hmst import EpisodicMemorySSM
from pmi_kernel.systems.hmst.model import loops

WIDTH, STATE = 32, 16


def made() -> EpisodicMemorySSM:
    torch.manual_seed(0)
    memory = EpisodicMemorySSM(WIDTH, STATE, num_layers=2, chunk=16).eval()
    for block in blocks(memory):  # decays and steps that matter over some hundred tokens
        torch.nn.init.uniform_(block.mixer.A_log, -3, 1)
        torch.nn.init.uniform_(block.mixer.dt_bias, -4, 0)
        torch.nn.init.normal_(block.mixer.conv1d.bias, std=0.1)
        torch.nn.init.normal_(block.mixer.D)
    return memory


def blocks(memory: EpisodicMemorySSM) -> list[Any]:
    return list(memory.scan.layers)


def drawn(batch: int, tokens: int) -> Tensor:
    return torch.randn(batch, tokens, WIDTH, generator=torch.Generator().manual_seed(1))


def reference(memory: EpisodicMemorySSM, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    states = []
    for block in blocks(memory):
        found, state = loops.scan(block.mixer, block.norm(x))
        x = x + found
        states.append(state)
    return memory.scan.norm_f(x), states


def states(cache: Any) -> list[Tensor]:
    return [layer.recurrent_states[0] for layer in cache.layers]


@torch.no_grad()
@pytest.mark.parametrize("tokens", [1, 15, 16, 17, 200])
def test_chunks_are_steps(tokens: int) -> None:
    memory, x = made(), drawn(2, tokens)
    outputs, last = reference(memory, x)
    cache = memory.new_cache()
    found = memory(x, cache=cache)
    for one in (found.outputs, memory(x).outputs):
        torch.testing.assert_close(one, outputs, atol=1e-5, rtol=1e-5)
    for mine, other in zip(states(cache), last, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        found.summary, memory.summarise(outputs[:, -1]), atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
@pytest.mark.parametrize("parts", [(1, 1, 1, 57), (5, 55), (33, 1, 26), (16, 32, 12), (2, 3, 55)])
def test_going_on_is_reading_at_once(parts: tuple[int, ...]) -> None:
    memory, x = made(), drawn(2, 60)
    outputs, last = reference(memory, x)
    cache = memory.new_cache()
    found = [memory(part, cache=cache).outputs for part in x.split(parts, 1)]
    torch.testing.assert_close(torch.cat(found, 1), outputs, atol=1e-5, rtol=1e-5)
    for mine, other in zip(states(cache), last, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_what_is_padded_does_not_count() -> None:
    memory, x = made(), drawn(1, 20)
    junk = torch.cat([drawn(1, 7) * 9, x], 1)
    mask = torch.arange(27)[None] >= 7
    torch.testing.assert_close(memory(junk, mask).summary, memory(x).summary, atol=1e-5, rtol=1e-4)


def test_a_gradient_reaches_the_first_token() -> None:
    memory, x = made(), drawn(1, 100).requires_grad_()
    memory(x).summary.square().sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0].abs().max() > 0


def test_the_state_does_not_grow() -> None:
    memory = made()
    sizes = []
    for tokens in (10, 500):
        cache = memory.new_cache()
        with torch.no_grad():
            assert memory(drawn(1, tokens), cache=cache).summary.shape == (1, STATE)
        sizes.append([one.shape for one in states(cache)])
    assert sizes[0] == sizes[1]


def test_a_width_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        EpisodicMemorySSM(20)
