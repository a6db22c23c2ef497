"""One gradient step as a memory, against a plain loop and against finite differences."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertLMHeadModel

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.lora.gradients import (
    Rows,
    adapted,
    differentiable_twice,
    losses,
    passage_gradients,
    row_factors,
)
from pmi_kernel.lora.rows import LoraRows
from pmi_kernel.lora.start import Start, StepOn, StepSizes, initial_steps, tensors_of, weights_of
from pmi_kernel.lora.training import TrainRow, select_layers

RANK, SCALING = 3, 2.0
_BY = 1e-4
PASSAGES = [TrainRow(tuple(range(5, 5 + size))) for size in (7, 4, 12)]
ASKED = [TrainRow((9, 30, 31, 60, 61), 3), TrainRow((9, 33, 70), 2)]


class Tiny:
    """A random causal BERT, which computes in float64 throughout, with a random LoRA."""

    def __init__(self) -> None:
        config = BertConfig(
            vocab_size=99,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            initializer_range=0.3,
            is_decoder=True,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = BertLMHeadModel(config).double().eval().requires_grad_(False)
        self.rows = LoraRows(self.model)
        generator = torch.Generator().manual_seed(3)
        self.theta: dict[str, Tensor] = {}
        for name in select_layers(self.rows, ("dense",), 0.5):
            layer = self.rows.layers[name]
            for part, shape in (
                ("lora_A", (RANK, layer.in_features)),
                ("lora_B", (layer.out_features, RANK)),
            ):
                drawn = torch.randn(shape, generator=generator, dtype=torch.float64) * 0.1
                self.theta[f"{name}.{part}"] = drawn.requires_grad_()

    def loss(self, tensors: Mapping[str, Tensor], text: TrainRow) -> Tensor:
        """A text's loss with the update in the weights themselves: no batch, no hooks, no rows."""
        changed = {}
        for name in self.theta:
            if name.endswith(".lora_A"):
                layer = name.removesuffix(".lora_A")
                update = tensors[f"{layer}.lora_B"] @ tensors[name] * SCALING
                changed[f"{layer}.weight"] = self.rows.layers[layer].weight + update
        ids = torch.tensor([text.token_ids])
        logits = torch.func.functional_call(self.model, changed, (ids,)).logits[0]
        first = max(1, text.num_given)
        return torch.nn.functional.cross_entropy(logits[first - 1 : -1], ids[0, first:])

    def outer(self, steps: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of what is asked, each under its own passages, as the learner has it."""
        shares = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
        gradients, _ = passage_gradients(
            self.model, self.rows, self.theta, PASSAGES, scaling=SCALING, create_graph=True
        )
        memories = adapted(self.theta, steps, gradients, shares)
        with self.rows.using(row_factors(memories, SCALING)):
            return losses(self.model, Rows(ASKED, torch.device("cpu"))).mean()


@pytest.fixture(scope="module")
def model() -> Tiny:
    return Tiny()


def test_a_batch_of_passages_has_the_gradients_of_each_alone(model: Tiny) -> None:
    found, told = passage_gradients(model.model, model.rows, model.theta, PASSAGES, scaling=SCALING)
    for place, passage in enumerate(PASSAGES):
        loss = model.loss(model.theta, passage)
        assert told[place].item() == pytest.approx(loss.item(), abs=1e-12)
        wanted = torch.autograd.grad(loss, list(model.theta.values()))
        for (name, batched), one in zip(found.items(), wanted, strict=True):
            torch.testing.assert_close(batched[place], one, rtol=1e-9, atol=1e-12, msg=name)
    assert not any(tensor.requires_grad for tensor in found.values())


def test_adapted_weights_are_those_of_a_plain_loop(model: Tiny) -> None:
    steps = initial_steps(model.theta, "tie", 0.3)
    found, _ = passage_gradients(model.model, model.rows, model.theta, PASSAGES, scaling=SCALING)
    shares = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    memory = adapted(model.theta, steps, found, shares)
    for name, tensor in model.theta.items():
        plain = tensor.detach().clone()
        for passage in (PASSAGES[0], PASSAGES[2]):
            (gradient,) = torch.autograd.grad(model.loss(model.theta, passage), [tensor])
            plain -= 0.3 * gradient
        torch.testing.assert_close(memory[name][0].detach(), plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["full", "tie", "same", "fix"])
def test_second_order_gradients_are_those_of_finite_differences(
    model: Tiny, mode: StepSizes
) -> None:
    steps = initial_steps(model.theta, mode, 0.4)
    generator = torch.Generator().manual_seed(1)
    trained = [*model.theta.values()]
    trained += list({id(step): step for step in steps.values() if step.requires_grad}.values())
    with differentiable_twice(model.model):
        gradients = torch.autograd.grad(model.outer(steps), trained)
        for tensor, gradient in zip(trained, gradients, strict=True):
            way = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            way /= way.norm()
            sides = []
            for sign in (_BY, -_BY):
                with torch.no_grad():
                    tensor += sign * way
                sides.append(model.outer(steps).item())
                with torch.no_grad():
                    tensor -= sign * way
            slope = (sides[0] - sides[1]) / (2 * _BY)
            assert (gradient * way).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_attention_is_given_back(model: Tiny) -> None:
    before = model.model.config._attn_implementation
    with differentiable_twice(model.model):
        assert model.model.config._attn_implementation == "eager"
    assert model.model.config._attn_implementation == before != "eager"


# -- starts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "tie", "same", "fix"])
def test_a_start_is_read_as_it_was_written(model: Tiny, tmp_path: Path, mode: StepSizes) -> None:
    theta = {name: tensor.detach().float() for name, tensor in model.theta.items()}
    steps = initial_steps(theta, mode, 0.25)
    start = Start(theta, steps, RANK, SCALING * RANK, StepOn("tiny", "hash", mode, 64, True))
    start.save(tmp_path)
    again = Start.load(tmp_path)
    assert (again.rank, again.scaling, again.on) == (RANK, SCALING, start.on)
    for name, tensor in theta.items():
        assert torch.equal(again.theta[name], tensor)
        assert torch.equal(again.steps[name], steps[name].detach())
    assert weights_of(tensors_of(start.weights), rank=RANK, alpha=6.0).rank == RANK


def test_a_start_that_does_not_fit_is_refused(model: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(ConfigError, match="holds no start"):
        Start.load(tmp_path / "nothing")
    theta = {name: tensor.detach().float() for name, tensor in model.theta.items()}
    on = StepOn("tiny", "hash", "tie", 64, True)
    Start(theta, initial_steps(theta, "tie", 0.25), RANK, 6.0, on).save(tmp_path)
    name = next(iter(theta))
    for tensors, message in (
        ({name: torch.tensor(1.0)}, "has no step size"),
        ({**dict.fromkeys(theta, torch.zeros(())), "other": torch.zeros(())}, "other is no tensor"),
        ({**dict.fromkeys(theta, torch.zeros(())), name: torch.zeros(2)}, "its step sizes"),
    ):
        save_file(
            {key: one.clone() for key, one in tensors.items()}, tmp_path / "steps.safetensors"
        )
        with pytest.raises(ConfigError, match=message):
            Start.load(tmp_path)


def test_rows_in_a_row_share_factors(model: Tiny) -> None:
    """Two texts under one memory, two under another: as if each had factors of its own."""
    texts = [*ASKED, *reversed(ASKED)]
    changes = {name: torch.full_like(tensor, 0.02) for name, tensor in model.theta.items()}
    both = {name: torch.stack([t, t + changes[name]]) for name, t in model.theta.items()}
    four = {name: tensor.repeat_interleave(2, dim=0) for name, tensor in both.items()}
    batch = Rows(texts, torch.device("cpu"))
    with model.rows.using(row_factors(both, SCALING)):
        shared = losses(model.model, batch)
    with model.rows.using(row_factors(four, SCALING)):
        own = losses(model.model, batch)
    torch.testing.assert_close(shared, own, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(shared[:2], shared[2:].flip(0))


def test_the_first_token_counts_as_often_as_it_is_said(model: Tiny) -> None:
    with torch.no_grad():
        plain = losses(model.model, Rows(ASKED, torch.device("cpu")))
        found = losses(model.model, Rows(ASKED, torch.device("cpu")), first=3.0)
        only = [TrainRow(row.token_ids[: row.num_given + 1], row.num_given) for row in ASKED]
        first = losses(model.model, Rows(only, torch.device("cpu")))
    sizes = torch.tensor([len(row.token_ids) - row.num_given for row in ASKED])
    torch.testing.assert_close(found, (plain * sizes + 2 * first) / (sizes + 2))
