"""LoRA on a small random Llama: against PEFT, against merged weights, row by row."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig as PeftConfig
from peft import PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from pmi_kernel.core.errors import EngineError
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.rows import LoraRows
from pmi_kernel.lora.training import MemoryTask, Trained, TrainRow, check_continues, train_loras
from pmi_kernel.lora.weights import LoraWeights, stack_loras

LORA = LoraConfig(steps=8, lr=1e-3, rank=4, alpha=8.0)
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


def task_of(ids: tuple[int, ...], **settings: Any) -> MemoryTask:
    return MemoryTask((TrainRow(ids),), **settings)


def train(model: Any, *tasks: MemoryTask, lora: LoraConfig = LORA) -> list[LoraWeights]:
    trained = train_loras(model, LoraRows(model), tasks, lora)
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
    one = task_of(SNIPPETS[0], seed=3)
    ours = train_loras(model, LoraRows(model), [one], LORA)[0]
    assert isinstance(ours, Trained)
    start = train(model, one, lora=replace(LORA, steps=0))[0]
    config = PeftConfig(r=4, lora_alpha=8, target_modules="all-linear")
    peft = get_peft_model(make_model(), config)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_A" in name:
                layer = name.removeprefix("base_model.model.").split(".lora_A")[0]
                parameter.copy_(start.a[layer])
    trainable = [p for p in peft.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=LORA.lr)
    ids = torch.tensor([SNIPPETS[0]])
    losses = []
    for _ in range(LORA.steps):
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


def test_texts_of_any_lengths_train_as_they_do_alone(model: Any) -> None:
    """More than a batch takes on a CPU: they are put together by length, and come back in order."""
    lengths = (200, 9, 120, 33, 180, 6, 64)
    tasks = [
        task_of(tuple((place + k * k) % 31 for k in range(size)), seed=place)
        for place, size in enumerate(lengths)
    ]
    for task, together in zip(tasks, train(model, *tasks), strict=True):
        assert_close(together, train(model, task)[0], 1e-4)


def test_the_last_blocks_alone_train_as_peft_trains_them(model: Any) -> None:
    lora = replace(LORA, depth=0.5)
    below = train(model, task_of(SNIPPETS[2], seed=9))[0]
    tasks = [task_of(SNIPPETS[0], seed=3), task_of(SNIPPETS[1], below=below, seed=4)]
    ours = train(model, *tasks, lora=lora)
    assert all(".layers.1." in name for weights in ours for name in weights.a)
    assert_close(ours[1], train(model, tasks[1], lora=lora)[0], 1e-5)
    start = train(model, tasks[0], lora=replace(lora, steps=0))[0]
    config = PeftConfig(r=4, lora_alpha=8, target_modules=sorted(start.a))
    peft = get_peft_model(make_model(), config)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_A" in name:
                layer = name.removeprefix("base_model.model.").split(".lora_A")[0]
                parameter.copy_(start.a[layer])
    optimizer = torch.optim.Adam([p for p in peft.parameters() if p.requires_grad], lr=LORA.lr)
    ids = torch.tensor([SNIPPETS[0]])
    for _ in range(LORA.steps):
        optimizer.zero_grad()
        peft(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:
            layer = name.removeprefix("base_model.model.").split(".lora_B")[0]
            assert (parameter - ours[0].b[layer]).abs().max() < 1e-5


def test_training_together_equals_training_alone(model: Any) -> None:
    tasks = [task_of(snippet, seed=seed) for seed, snippet in enumerate(SNIPPETS)]
    for task, weights in zip(tasks, train(model, *tasks), strict=True):
        assert_close(weights, train(model, task)[0], 1e-5)


def test_training_lowers_the_loss_and_leaves_the_model_alone(model: Any) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = train_loras(model, LoraRows(model), [task_of(SNIPPETS[0])], LORA)[0]
    assert isinstance(trained, Trained)
    assert len(trained.losses_nats) == LORA.steps
    assert trained.losses_nats[-1] < trained.losses_nats[0]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_training_on_top_keeps_what_is_below(model: Any) -> None:
    below = train(model, task_of(SNIPPETS[0]))[0]
    above = train(model, task_of(SNIPPETS[1], below=below, seed=1))[0]
    merged = make_model()
    add_to(merged, below)
    assert_close(above, train(merged, task_of(SNIPPETS[1], seed=1))[0], 1e-4)


def add_to(model: Any, weights: LoraWeights) -> None:
    with torch.no_grad():
        for name in weights.a:
            model.get_submodule(name).weight += weights.delta(name)


def test_rows_equal_merged_models(model: Any) -> None:
    rows = LoraRows(model)
    one, two = train(model, task_of(SNIPPETS[0])), train(model, task_of(SNIPPETS[1], seed=1))
    mixed = logits(model, rows, one[0], None, two[0])
    for row, weights in ((0, one[0]), (2, two[0])):
        merged = make_model()
        add_to(merged, weights)
        assert torch.allclose(mixed[row], merged(IDS).logits[0], atol=1e-5)
    assert torch.allclose(mixed[1], model(IDS).logits[0], atol=1e-6)


def test_rows_of_different_rank_share_a_batch(model: Any) -> None:
    rows = LoraRows(model)
    low = train(model, task_of(SNIPPETS[0]), lora=replace(LORA, rank=1))[0]
    high = train(model, task_of(SNIPPETS[1]), lora=replace(LORA, rank=6))[0]
    mixed = logits(model, rows, low, high)
    assert torch.allclose(mixed[0], logits(model, rows, low)[0], atol=1e-5)
    assert torch.allclose(mixed[1], logits(model, rows, high)[0], atol=1e-5)


def test_without_memory_the_model_is_bit_equal(model: Any) -> None:
    before = model(IDS).logits
    rows = LoraRows(model)
    weights = train(model, task_of(SNIPPETS[0]))[0]
    assert not torch.equal(logits(model, rows, weights), before)
    assert torch.equal(logits(model, rows, None), before)


def test_a_stack_acts_as_its_parts_together(model: Any) -> None:
    below = train(model, task_of(SNIPPETS[0]), lora=replace(LORA, targets=("q_proj",)))[0]
    above = train(model, task_of(SNIPPETS[1], seed=1))[0]
    stack = stack_loras(below, above)
    assert stack.rank == below.rank + above.rank
    for name in above.a:
        expected = above.delta(name) + (below.delta(name) if name in below.a else 0)
        assert torch.allclose(stack.delta(name), expected, atol=1e-6)


def test_norms_are_those_of_the_whole_update(model: Any) -> None:
    weights = train(model, task_of(SNIPPETS[0]))[0]
    for name, norm in weights.norms().items():
        assert norm == pytest.approx(float(weights.delta(name).norm()), rel=1e-4)


def test_peft_reads_what_is_saved_and_so_do_we(model: Any, tmp_path: Path) -> None:
    weights = train(model, task_of(SNIPPETS[0]))[0]
    weights.save(tmp_path, base_model="tiny")
    ours = logits(model, LoraRows(model), weights)
    theirs = PeftModel.from_pretrained(make_model(), tmp_path)(IDS).logits
    assert torch.allclose(ours, theirs, atol=1e-5)
    again = LoraWeights.load(tmp_path)
    assert_close(weights, again, 1e-12)
    assert (again.rank, again.alpha) == (weights.rank, weights.alpha)


def test_a_loss_that_is_not_finite_is_an_error_of_its_row_alone(model: Any) -> None:
    weights = train(model, task_of(SNIPPETS[0]))[0]
    bad = replace(weights, a={name: a * float("inf") for name, a in weights.a.items()})
    tasks = [task_of(SNIPPETS[0]), task_of(SNIPPETS[1], below=bad)]
    good, failed = train_loras(model, LoraRows(model), tasks, LORA)
    assert isinstance(failed, EngineError)
    assert "loss was nan at step 1" in str(failed)
    assert isinstance(good, Trained)
    assert_close(good.weights, weights, 1e-5)


def test_targets_choose_the_layers(model: Any) -> None:
    chosen = train(model, task_of(SNIPPETS[0]), lora=replace(LORA, targets=("q_proj",)))[0]
    assert {name.rsplit(".", 1)[-1] for name in chosen.a} == {"q_proj"}
    with pytest.raises(ValueError, match="no layer is called nose"):
        train(model, task_of(SNIPPETS[0]), lora=replace(LORA, targets=("nose",)))


def test_one_token_is_no_training_text(model: Any) -> None:
    with pytest.raises(ValueError, match="two tokens"):
        train(model, task_of((1,)))


def test_a_lora_of_another_model_is_refused(model: Any) -> None:
    alien = LoraWeights({"nose": torch.zeros(1, 1)}, {"nose": torch.zeros(1, 1)}, 1, 1.0)
    with pytest.raises(ValueError, match="no linear layer 'nose'"):
        LoraRows(model).gather([alien])


def test_a_memory_of_several_texts_is_one_lora_for_all_of_them(model: Any) -> None:
    both = MemoryTask((TrainRow(SNIPPETS[0], num_given=3), TrainRow(SNIPPETS[2])))
    others = [MemoryTask((TrainRow(SNIPPETS[1]),), seed=1), task_of(SNIPPETS[0], seed=2)]
    alone = train_loras(model, LoraRows(model), [both], LORA)[0]
    assert isinstance(alone, Trained)
    for one, other in zip(
        train(model, others[0], both, others[1]),
        [*train(model, others[0]), alone.weights, *train(model, others[1])],
        strict=True,
    ):
        assert_close(one, other, 1e-5)

    losses = []
    for row in both.rows:
        ids = torch.tensor([row.token_ids])
        with torch.no_grad():
            logprobs = model(ids).logits[0].log_softmax(-1)
        first = max(1, row.num_given)
        losses += [-float(logprobs[at - 1, ids[0, at]]) for at in range(first, ids.shape[1])]
    assert alone.losses_nats[0] == pytest.approx(sum(losses) / len(losses), abs=1e-5)
    assert both.rows[0].num_learned + both.rows[1].num_learned == len(losses)


def test_going_on_from_a_memory_is_training_on(model: Any) -> None:
    lora = replace(LORA, optimizer="sgd", lr=0.5, steps=6)
    whole = train(model, task_of(SNIPPETS[0]), lora=lora)[0]
    half = train(model, task_of(SNIPPETS[0]), lora=replace(lora, steps=3))[0]
    rest = train(model, task_of(SNIPPETS[0], start=half), lora=replace(lora, steps=3))[0]
    assert rest.rank == half.rank
    assert_close(rest, whole, 1e-5)
    assert (half.b[next(iter(half.b))] - whole.b[next(iter(whole.b))]).abs().max() > 1e-4


def test_training_ends_for_each_memory_once_its_loss_is_low(model: Any) -> None:
    tasks = [task_of(SNIPPETS[0]), task_of(SNIPPETS[1], seed=1)]
    lora = replace(LORA, lr=1e-2, steps=30, rank=1)
    whole = train_loras(model, LoraRows(model), tasks, lora)
    first = whole[0]
    assert isinstance(first, Trained)
    bar = first.losses_nats[5] + 1e-6
    stopped = train_loras(model, LoraRows(model), tasks, replace(lora, stop_loss_nats=bar))
    for task, one in zip(tasks, stopped, strict=True):
        assert isinstance(one, Trained)
        *before, last = one.losses_nats
        assert min(before, default=bar) >= bar
        assert last < bar or len(one.losses_nats) == lora.steps
        exact = train(model, task, lora=replace(lora, steps=len(before)))[0]
        assert_close(one.weights, exact, 1e-5)
    assert len(stopped[0].losses_nats) < lora.steps  # type: ignore[union-attr]


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_begins_at_the_rate_and_learns_less_than_a_constant_one(
    model: Any, schedule: Any
) -> None:
    lora = replace(LORA, schedule=schedule)
    start = train(model, task_of(SNIPPETS[0]), lora=replace(lora, steps=0))[0]

    def moved(lora: LoraConfig) -> float:
        weights = train(model, task_of(SNIPPETS[0]), lora=lora)[0]
        return sum(float((weights.b[name] - start.b[name]).abs().sum()) for name in start.b)

    one = replace(lora, steps=1)
    assert moved(one) == pytest.approx(moved(replace(one, schedule="constant")), rel=1e-4)
    assert 0.3 < moved(lora) / moved(replace(lora, schedule="constant")) < 0.9


def test_a_memory_of_another_shape_cannot_be_gone_on_from() -> None:
    memory = train(make_model(), task_of(SNIPPETS[0]))[0]
    check_continues(memory, LORA)
    with pytest.raises(EngineError, match="rank 4"):
        check_continues(memory, replace(LORA, rank=8))
