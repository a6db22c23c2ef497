"""LoRA on a small random Llama: against PEFT, against merged weights, row by row."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from pmi_kernel.errors import EngineError
from pmi_kernel.memory.lora import LoraRecipe, LoraWeights, stack_loras
from pmi_kernel.memory.rows import LoraRows
from pmi_kernel.memory.training import Trained, TrainJob, train_loras

RECIPE = LoraRecipe(steps=8, lr=1e-3, rank=4, alpha=8.0)
SNIPPETS = [(3, 1, 4, 1, 5, 9, 2, 6), (2, 7, 1, 8), (1, 6, 1, 8, 0, 3)]
IDS = torch.tensor([[5, 3, 9, 1, 7]])


def make_model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


@pytest.fixture
def model() -> Any:
    return make_model()


def train(model: Any, *jobs: TrainJob, recipe: LoraRecipe = RECIPE) -> list[LoraWeights]:
    trained = train_loras(model, LoraRows(model), jobs, recipe)
    return [one.weights for one in trained if isinstance(one, Trained)]


def logits(model: Any, rows: LoraRows, *weights: LoraWeights | None) -> torch.Tensor:
    with torch.no_grad(), rows.using(rows.gather(weights)):
        found = model(IDS.repeat(len(weights), 1)).logits
    assert isinstance(found, torch.Tensor)
    return found


def assert_close(one: LoraWeights, other: LoraWeights, tolerance: float) -> None:
    for name in one.a:
        assert (one.a[name] - other.a[name]).abs().max() < tolerance
        assert (one.b[name] - other.b[name]).abs().max() < tolerance


def test_training_equals_peft(model: Any) -> None:
    job = TrainJob(SNIPPETS[0], seed=3)
    ours = train_loras(model, LoraRows(model), [job], RECIPE)[0]
    assert isinstance(ours, Trained)
    start = train(model, job, recipe=replace(RECIPE, steps=0))[0]
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")
    peft = get_peft_model(make_model(), config)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_A" in name:
                layer = name.removeprefix("base_model.model.").split(".lora_A")[0]
                parameter.copy_(start.a[layer])
    trainable = [p for p in peft.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=RECIPE.lr)
    ids = torch.tensor([SNIPPETS[0]])
    losses = []
    for _ in range(RECIPE.steps):
        loss = peft(input_ids=ids, labels=ids).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ours.losses_nats == pytest.approx(losses, abs=1e-5)
    for name, parameter in peft.named_parameters():
        if "lora_" in name:
            layer, part = name.removeprefix("base_model.model.").split(".lora_")
            mine = (ours.weights.a if part.startswith("A") else ours.weights.b)[layer]
            assert (parameter - mine).abs().max() < 1e-5


def test_training_together_equals_training_alone(model: Any) -> None:
    jobs = [TrainJob(snippet, seed=seed) for seed, snippet in enumerate(SNIPPETS)]
    for job, weights in zip(jobs, train(model, *jobs), strict=True):
        assert_close(weights, train(model, job)[0], 1e-5)


def test_training_lowers_the_loss_and_leaves_the_model_alone(model: Any) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = train_loras(model, LoraRows(model), [TrainJob(SNIPPETS[0])], RECIPE)[0]
    assert isinstance(trained, Trained)
    assert len(trained.losses_nats) == RECIPE.steps
    assert trained.losses_nats[-1] < trained.losses_nats[0]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_training_on_top_keeps_what_is_below(model: Any) -> None:
    below = train(model, TrainJob(SNIPPETS[0]))[0]
    above = train(model, TrainJob(SNIPPETS[1], below=below, seed=1))[0]
    merged = make_model()
    add_to(merged, below)
    assert_close(above, train(merged, TrainJob(SNIPPETS[1], seed=1))[0], 1e-4)


def add_to(model: Any, weights: LoraWeights) -> None:
    with torch.no_grad():
        for name in weights.a:
            model.get_submodule(name).weight += weights.delta(name)


def test_rows_equal_merged_models(model: Any) -> None:
    rows = LoraRows(model)
    one, two = train(model, TrainJob(SNIPPETS[0])), train(model, TrainJob(SNIPPETS[1], seed=1))
    mixed = logits(model, rows, one[0], None, two[0])
    for row, weights in ((0, one[0]), (2, two[0])):
        merged = make_model()
        add_to(merged, weights)
        assert torch.allclose(mixed[row], merged(IDS).logits[0], atol=1e-5)
    assert torch.allclose(mixed[1], model(IDS).logits[0], atol=1e-6)


def test_rows_of_different_rank_share_a_batch(model: Any) -> None:
    rows = LoraRows(model)
    low = train(model, TrainJob(SNIPPETS[0]), recipe=replace(RECIPE, rank=1))[0]
    high = train(model, TrainJob(SNIPPETS[1]), recipe=replace(RECIPE, rank=6))[0]
    mixed = logits(model, rows, low, high)
    assert torch.allclose(mixed[0], logits(model, rows, low)[0], atol=1e-5)
    assert torch.allclose(mixed[1], logits(model, rows, high)[0], atol=1e-5)


def test_without_memory_the_model_is_bit_equal(model: Any) -> None:
    before = model(IDS).logits
    rows = LoraRows(model)
    weights = train(model, TrainJob(SNIPPETS[0]))[0]
    assert not torch.equal(logits(model, rows, weights), before)
    assert torch.equal(logits(model, rows, None), before)


def test_a_stack_acts_as_its_parts_together(model: Any) -> None:
    below = train(model, TrainJob(SNIPPETS[0]), recipe=replace(RECIPE, targets=("q_proj",)))[0]
    above = train(model, TrainJob(SNIPPETS[1], seed=1))[0]
    stack = stack_loras(below, above)
    assert stack.rank == below.rank + above.rank
    for name in above.a:
        expected = above.delta(name) + (below.delta(name) if name in below.a else 0)
        assert torch.allclose(stack.delta(name), expected, atol=1e-6)


def test_norms_are_those_of_the_whole_update(model: Any) -> None:
    weights = train(model, TrainJob(SNIPPETS[0]))[0]
    for name, norm in weights.norms().items():
        assert norm == pytest.approx(float(weights.delta(name).norm()), rel=1e-4)


def test_peft_reads_what_is_saved_and_so_do_we(model: Any, tmp_path: Path) -> None:
    weights = train(model, TrainJob(SNIPPETS[0]))[0]
    weights.save(tmp_path, base_model="tiny")
    ours = logits(model, LoraRows(model), weights)
    theirs = PeftModel.from_pretrained(make_model(), tmp_path)(IDS).logits
    assert torch.allclose(ours, theirs, atol=1e-5)
    again = LoraWeights.load(tmp_path)
    assert_close(weights, again, 1e-12)
    assert (again.rank, again.alpha) == (weights.rank, weights.alpha)


def test_a_loss_that_is_not_finite_is_an_error_of_its_row_alone(model: Any) -> None:
    weights = train(model, TrainJob(SNIPPETS[0]))[0]
    bad = replace(weights, a={name: a * float("inf") for name, a in weights.a.items()})
    jobs = [TrainJob(SNIPPETS[0]), TrainJob(SNIPPETS[1], below=bad)]
    good, failed = train_loras(model, LoraRows(model), jobs, RECIPE)
    assert isinstance(failed, EngineError)
    assert "loss was nan at step 1" in str(failed)
    assert isinstance(good, Trained)
    assert_close(good.weights, weights, 1e-5)


def test_targets_choose_the_layers(model: Any) -> None:
    chosen = train(model, TrainJob(SNIPPETS[0]), recipe=replace(RECIPE, targets=("q_proj",)))[0]
    assert {name.rsplit(".", 1)[-1] for name in chosen.a} == {"q_proj"}
    with pytest.raises(ValueError, match="no layer is called nose"):
        train(model, TrainJob(SNIPPETS[0]), recipe=replace(RECIPE, targets=("nose",)))


def test_one_token_is_no_training_text(model: Any) -> None:
    with pytest.raises(ValueError, match="two tokens"):
        train(model, TrainJob((1,)))


def test_a_lora_of_another_model_is_refused(model: Any) -> None:
    alien = LoraWeights({"nose": torch.zeros(1, 1)}, {"nose": torch.zeros(1, 1)}, 1, 1.0)
    with pytest.raises(ValueError, match="no linear layer 'nose'"):
        LoraRows(model).gather([alien])
