"""The mixture of experts: the same as plain loops, and what is left out is not computed."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from pmi_kernel.engines.loaded import LoadedModel
from pmi_kernel.systems.hmst import (
    BaseMoEModel,
    get_base_config,
    get_large_config,
    get_micro_config,
    get_small_config,
    get_tiny_config,
)
from pmi_kernel.systems.hmst.model import loops
from pmi_kernel.systems.hmst.model.moe import LowRankExperts
from pmi_kernel.systems.hmst.model.sizes import HMSTConfig

SMALL = HMSTConfig(32, 4, 4, 2, 48, vocab_size=97, max_position_embeddings=256)


def from_nothing() -> BaseMoEModel:
    torch.manual_seed(0)
    return BaseMoEModel(SMALL).eval()


def dense() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    return LlamaForCausalLM(config).eval()


def upcycled(*, is_learned: bool = True) -> BaseMoEModel:
    model = BaseMoEModel.upcycled(dense(), rank=4).eval()
    if is_learned:
        for block in model.modules():
            if isinstance(block, LowRankExperts):
                for one in block.b.values():
                    torch.nn.init.normal_(one, std=0.3)
    return model


KINDS = pytest.mark.parametrize("make", [from_nothing, upcycled])


def ids(batch: int = 2, tokens: int = 24) -> Tensor:
    return torch.randint(97, (batch, tokens), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("config", "millions"),
    [
        (get_micro_config(), 10),
        (get_tiny_config(), 100),
        (get_small_config(), 1_000),
        (get_base_config(), 12_000),
        (get_large_config(), 30_000),
    ],
)
def test_sizes_are_what_they_are_called(config: HMSTConfig, millions: int) -> None:
    with torch.device("meta"):
        total, active = BaseMoEModel(config).num_parameters()
    assert total / 1e6 == pytest.approx(millions, rel=0.07)
    assert 0.2 < active / total < 0.65


@torch.no_grad()
def test_transformers_experts_are_plain_loops() -> None:
    block = from_nothing().lm.model.layers[1].mlp
    x = torch.randn(2, 9, 32)
    torch.testing.assert_close(block(x), loops.mixture(block, x), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_low_rank_experts_are_plain_loops() -> None:
    block = upcycled().lm.model.layers[1].mlp
    x = torch.randn(2, 9, 32)
    torch.testing.assert_close(block(x), loops.mixture(block, x), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(block(x), block.dense(x), atol=1e-3)


def test_an_upcycled_model_is_the_dense_one_at_first() -> None:
    loaded = LoadedModel("smollm2-135m", dtype="float32", device="cpu")
    prompts = ["The capital of France is", "Ada Brook played the oboe. Which instrument did"]
    given = [torch.tensor([loaded.chat.encode(one)]) for one in prompts]
    with torch.no_grad():
        before = [loaded.model(input_ids=one).logits for one in given]
        model = BaseMoEModel.upcycled(loaded.model, rank=4).eval()
        after = [model(one).logits for one in given]
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)
    total, active = model.num_parameters()
    learned = sum(one.numel() for one in model.parameters() if one.requires_grad)
    assert learned < total / 5
    assert active < total


def test_another_kind_of_model_cannot_be_upcycled() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises((ValueError, AttributeError)):
        BaseMoEModel.upcycled(model)


@KINDS
@torch.no_grad()
def test_what_is_kept_need_not_be_read_again(make: Callable[[], BaseMoEModel]) -> None:
    model, tokens = make(), ids()
    whole, cache = model(tokens), model.new_cache()
    parts = [model(part, cache=cache).logits for part in tokens.split((10, 1, 13), 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole.logits, atol=1e-4, rtol=1e-4)
    last = model(tokens, last_only=True).logits
    torch.testing.assert_close(last, whole.logits[:, -1:])


def counted(model: BaseMoEModel, **how: Any) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(ids(), **how)
    return counter.get_total_flops()


@KINDS
def test_layers_that_are_left_out_are_not_computed(make: Callable[[], BaseMoEModel]) -> None:
    model = make()
    calls: list[int] = []
    for number, layer in enumerate(model.lm.model.layers):
        layer.register_forward_hook(lambda *told, number=number: calls.append(number))
    model(ids(), num_layers=2)
    assert calls == [0, 1]
    calls.clear()
    model(ids())
    assert calls == [0, 1, 2, 3]
    head = 2 * 2 * 24 * 32 * 97
    whole, half = counted(model) - head, counted(model, num_layers=2) - head
    assert half == pytest.approx(whole / 2, rel=0.01)


@KINDS
@torch.no_grad()
def test_experts_that_are_closed_are_not_run(make: Callable[[], BaseMoEModel]) -> None:
    model, used = make(), set[int]()
    for router in model.routers:
        router.register_forward_hook(
            lambda module, given, found: used.update(found[2].flatten().tolist())
        )
    found = model(ids(), experts=(2, 5))
    assert used == {2, 5}
    used.clear()
    assert not torch.allclose(found.logits, model(ids()).logits)
    assert len(used) > 4
    one = model(ids(), experts=(3,))
    assert torch.isfinite(one.logits).all()


def test_fewer_experts_cost_less() -> None:
    model = upcycled(is_learned=True)
    assert counted(model, experts=(1,)) < counted(model, experts=(1, 2)) < counted(model)


@KINDS
def test_what_one_thread_leaves_out_is_there_for_another(make: Callable[[], BaseMoEModel]) -> None:
    model, tokens, wrong = make(), ids(), list[str]()
    ways = ({}, {"num_layers": 1}, {"experts": (0, 3)})
    with torch.no_grad():
        alone = [model(tokens, **how).logits for how in ways]

    def work(at: int) -> None:
        with torch.no_grad():
            for _ in range(30):
                if not torch.equal(model(tokens, **ways[at]).logits, alone[at]):
                    wrong.append(str(ways[at]))

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(ways))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@KINDS
def test_what_is_not_there_is_refused(make: Callable[[], BaseMoEModel]) -> None:
    model = make()
    for wrong in ({"num_layers": 0}, {"num_layers": 5}, {"experts": ()}, {"experts": (8,)}):
        with pytest.raises(ValueError, match="there are"):
            model(ids(), **wrong)
    assert model(ids()).logits.shape == (2, 24, 97)


@KINDS
def test_routers_learn_to_share_the_work(make: Callable[[], BaseMoEModel]) -> None:
    model = make()
    for router in model.routers:
        torch.nn.init.normal_(router.weight, std=3.0)  # a few experts do it all
    optimizer = torch.optim.Adam([one.weight for one in model.routers], lr=0.1)
    first = model(ids(8)).balance
    assert first.item() > 1.05
    for _ in range(20):
        optimizer.zero_grad()
        model(ids(8)).balance.backward()
        optimizer.step()
    assert model(ids(8)).balance.item() < first.item() - 0.04
