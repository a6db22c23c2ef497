"""Training of scratchpads and of answers at once: samples, loss, checkpoints, evaluation."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.data import load_examples
from pmi_kernel.lora.gradients import Rows, losses
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.systems import open_system
from pmi_kernel.systems.learning import preset, train
from pmi_kernel.systems.scratchpad.building import build_samples
from pmi_kernel.systems.scratchpad.config import ScratchpadConfig
from pmi_kernel.systems.scratchpad.learner import ScratchpadLearner
from pmi_kernel.systems.scratchpad.samples import make_sample
from pmi_kernel.systems.scratchpad.training import EXPERIMENTS, MODELS, ScratchpadTraining
from pmi_kernel.training import Sample, TrainConfig, read_checkpoint

WORLDS = "world:split=train,n=6,paragraphs=2"
TRAIN = TrainConfig(
    steps=2, batch=2, lr=1e-2, device="cpu", eval_first=False, eval_every=None, best_by="sub_em"
)


@pytest.fixture(scope="module")
def config(tiny: str) -> ScratchpadTraining:
    return ScratchpadTraining(
        data=WORLDS,
        eval_data="world:split=dev,n=2,paragraphs=2",
        model=tiny,
        device="cpu",
        max_new_tokens=4,
    )


@pytest.fixture(scope="module")
def learner(config: ScratchpadTraining) -> ScratchpadLearner:
    return ScratchpadLearner(config)


def losses_of(learner: ScratchpadLearner, *numbers: int) -> float:
    samples = [Sample(0, number) for number in numbers]
    return learner.update(samples, lambda loss: loss.backward())["loss"]


def test_the_loss_is_that_of_next_tokens_whatever_is_there_at_once(
    learner: ScratchpadLearner,
) -> None:
    rows = [learner._rows[0], learner._rows[1]]
    batch = Rows(rows, learner.loaded.device)
    with torch.no_grad():
        each = losses(learner.model.eval(), batch)
    sizes = torch.tensor([row.num_learned for row in rows])
    expected = float((each * sizes).sum() / sizes.sum())
    assert losses_of(learner, 0, 1) == pytest.approx(expected, rel=1e-4)
    assert all(tensor.grad is not None for tensor in learner.theta.values())


def test_the_loss_may_begin_after_the_documents(config: ScratchpadTraining) -> None:
    whole, part = (
        ScratchpadLearner(config.but(loss=loss)).update([Sample(0, 0)], lambda loss: None)
        for loss in ("sample", "completion")
    )
    assert part["num_tokens"] < whole["num_tokens"] / 2


def test_answers_at_once_are_learned_without_the_evidence(config: ScratchpadTraining) -> None:
    how = config.but(loss="completion")
    counts = [
        ScratchpadLearner(how.but(train_method=method)).update([Sample(0, 0)], lambda loss: None)
        for method in ("sft", "scratchpad")
    ]
    assert counts[0]["num_tokens"] < counts[1]["num_tokens"]


def test_training_on_one_sample_lowers_its_loss(config: ScratchpadTraining) -> None:
    learner = ScratchpadLearner(config.but(num_train_samples=1))
    optimizer = torch.optim.AdamW(learner.theta.values(), lr=1e-2)
    found = []
    for _ in range(6):
        found.append(losses_of(learner, 0))
        optimizer.step()
        optimizer.zero_grad()
    assert found[-1] < found[0] - 0.05


def test_what_cannot_be_a_sample_is_dropped_and_counted(config: ScratchpadTraining) -> None:
    with pytest.raises(ConfigError, match="6 have no gold document"):
        ScratchpadLearner(config.but(data=f"shift:{WORLDS}"))
    learner = ScratchpadLearner(config)
    assert learner.dropped == {"too_long": 0, "no_gold": 0}
    learner.loaded.max_tokens = 20
    assert learner._row(load_examples(WORLDS)[0]) is None
    assert learner.dropped["too_long"] == 1


def test_a_checkpoint_is_a_lora_that_the_system_attaches(
    config: ScratchpadTraining, tiny: str, tmp_path: Path
) -> None:
    best = train("scratchpad", config, TRAIN, tmp_path / "out")
    found = read_checkpoint(best, system="scratchpad")
    weights = LoraWeights.load(found.folder)
    assert {name.rpartition(".")[2] for name in weights.a} == {"q_proj", "v_proj"}
    assert (weights.rank, weights.alpha) == (8, 16)
    served = {"model": tiny, "device": "cpu", "dtype": "float32", "max_new_tokens": 4}
    system = open_system(ScratchpadConfig(checkpoint=str(best), **served))  # type: ignore[arg-type]
    assert system.describe()["checkpoint_sha256"] == found.sha256
    last = list(system.steps(load_examples(WORLDS)[0].task))[-1]
    assert last.end_reason is not None
    again = ScratchpadLearner(config.but(init=str(best)))
    assert all(torch.equal(again.theta[f"{name}.lora_A"], one) for name, one in weights.a.items())
    with pytest.raises(ConfigError, match="is of the model"):
        open_system(ScratchpadConfig(checkpoint=str(best), device="cpu"))
    with pytest.raises(ConfigError, match="lora_A is"):
        ScratchpadLearner(config.but(init=str(best), peft_config="lora_r4_a16_qv"))


def test_all_weights_can_be_trained_and_served(
    config: ScratchpadTraining, tmp_path: Path, tiny: str
) -> None:
    out = tmp_path / "whole"
    best = train("scratchpad", config.but(peft_config="none"), TRAIN, out)
    with pytest.raises(ConfigError, match="--model"):
        open_system(ScratchpadConfig(model=tiny, checkpoint=str(best), device="cpu"))
    system = open_system(
        ScratchpadConfig(
            model=str(best / "model"), checkpoint="none", device="cpu", max_new_tokens=4
        )
    )
    assert list(system.steps(load_examples(WORLDS)[0].task))[-1].end_reason is not None
    again = ScratchpadLearner(config.but(peft_config="none", init=str(out)))
    first = ScratchpadLearner(config.but(peft_config="none"))
    changed = [
        not torch.equal(one, other)
        for one, other in zip(again.model.parameters(), first.model.parameters(), strict=True)
    ]
    assert any(changed)


def test_a_training_gone_on_with_is_bit_equal(config: ScratchpadTraining, tmp_path: Path) -> None:
    steps = TRAIN.but(schedule="none", keep_last=9)
    train("scratchpad", config, steps.but(steps=4), tmp_path / "once")
    train("scratchpad", config, steps, tmp_path / "twice")
    train("scratchpad", config, steps.but(steps=4), tmp_path / "twice")
    one, other = (tensors(tmp_path / name / "step-00000004") for name in ("once", "twice"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def tensors(folder: Path) -> dict[str, Tensor]:
    weights = LoraWeights.load(folder)
    return {**weights.a, **{f"{name}.b": one for name, one in weights.b.items()}}


def test_activations_computed_again_give_the_same_gradient(
    config: ScratchpadTraining, tmp_path: Path
) -> None:
    norms = []
    for name, is_again in (("kept", False), ("again", True)):
        how = TRAIN.but(steps=1, gradient_checkpointing=is_again)
        train("scratchpad", config, how, tmp_path / name)
        [row] = (tmp_path / name / "train_log.jsonl").read_text().splitlines()
        norms.append(json.loads(row)["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_an_evaluation_is_what_the_system_answers(learner: ScratchpadLearner) -> None:
    found = learner.evaluate()
    assert set(found.measures) == {"em", "f1", "sub_em", "recall", "unmarked"}
    assert found.measures["unmarked"] == 1.0  # four tokens hold no mark
    assert len(found.examples) == 2


def test_gold_alone_is_the_other_split(config: ScratchpadTraining) -> None:
    learner = ScratchpadLearner(config.but(eval_split="val_pos"))
    assert {len(example.task.context) for example in learner._dev} == {1}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lora_r8_a16_xy", "neither a name"),
        ("/nowhere.json", "neither a name"),
        ("lora_r2_a4_qz", "neither a name"),
    ],
)
def test_a_lora_that_is_none_is_refused(config: ScratchpadTraining, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ScratchpadLearner(config.but(peft_config=name))


def test_a_lora_is_read_from_a_file_of_pefts(config: ScratchpadTraining, tmp_path: Path) -> None:
    path = tmp_path / "peft.json"
    told = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["o_proj"]}
    path.write_text(json.dumps(told))
    learner = ScratchpadLearner(config.but(peft_config=str(path)))
    assert learner.weights().rank == 3
    path.write_text(json.dumps({**told, "use_dora": True}))
    with pytest.raises(ConfigError, match="only a plain LoRA"):
        ScratchpadLearner(config.but(peft_config=str(path)))


def test_the_prototypes_flags_are_taken(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "train", "scratchpad", "--train_method", "sft", "--peft_config", "lora_r8_a16_qv",
        "--num_train_epochs", "1", "--lr", "0.0001", "--weight_decay", "0.01", "--scheduler",
        "none", "--num_train_samples", "2", "--num_val_samples", "1", "--max_new_tokens", "3",
        "--eval_split", "val_pos", "--last_answer_only", "--print_outputs", "--experiment_config",
        "worlds_5_docs", "--model_config", "smollm2_135m", "--model", tiny, "--device", "cpu",
        "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert "question: " in capsys.readouterr().out
    record = json.loads((tmp_path / "out/config.json").read_text())
    assert record["config"]["epochs"] == 1.0
    assert record["learner"]["num_docs"] == 5
    with pytest.raises(SystemExit) as ended:
        main([*words, "--eval_only", "--load_checkpoint", "--checkpoint_path",
              str(tmp_path / "out")])  # fmt: skip
    assert ended.value.code == 0
    assert "sub_em" in capsys.readouterr().out


def test_presets_and_names_are_whole() -> None:
    for name in ScratchpadTraining.presets:
        learner, schedule = preset("scratchpad", name)
        assert isinstance(learner, ScratchpadTraining)
        assert schedule.best_by == "sub_em"
    fields = {*ScratchpadTraining.model_fields, *TrainConfig.model_fields}
    for told in (*MODELS.values(), *EXPERIMENTS.values()):
        assert set(told) <= fields


def test_samples_are_built_as_data_that_can_be_read_again(tiny: str, tmp_path: Path) -> None:
    examples = load_examples("world:split=dev,n=4,paragraphs=5")
    out = tmp_path / "samples.jsonl"
    built = build_samples(examples, out, num_docs=3, gold_at=1, model=tiny)
    assert len(built.samples) == 4
    assert all(sample.gold_at == (1,) for sample in built.samples)
    again = load_examples(out)
    for sample, example in zip(built.samples, again, strict=True):
        texts = [paragraph.text for paragraph in sample.example.task.context]
        assert [paragraph.text for paragraph in example.task.context] == texts
        assert make_sample(example).text == sample.text
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    counts = sorted(row["num_tokens"] for row in rows)
    assert built.tokens == (counts[0], counts[1], counts[-1])
    assert built.tokens[0] <= built.tokens[1] <= built.tokens[2] <= built.most_tokens
    for row in rows:
        assert row["sample"][row["given_chars"] :].startswith("\nDocument [2]")


def test_an_empty_document_or_no_gold_one_is_counted(tiny: str) -> None:
    from pmi_kernel.core.task import Gold, Paragraph

    one, other, third = load_examples("world:split=dev,n=3,paragraphs=2")
    bare = replace(one, gold=Gold(one.gold.answers))
    empty = (Paragraph("Nothing", ()), *other.task.context)
    hollow = replace(other, task=replace(other.task, context=empty))
    built = build_samples([bare, hollow, third], None, model=tiny)
    assert (len(built.samples), built.num_without_gold, built.num_too_long) == (1, 2, 0)
    with pytest.raises(ConfigError, match="no sample is left"):
        build_samples([bare], None, model=tiny)
    with pytest.raises(ConfigError, match="of 2 documents the last is 1"):
        build_samples([third], None, num_docs=2, gold_at=2, model=tiny)


def test_samples_are_built_on_the_command_line(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "samples.jsonl"
    words = ["data", "build", "scratchpad", "--from", WORLDS, "--model", tiny, "--num_docs", "2"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(out), "--show", "1"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "Evidence:\nDocument [" in printed
    assert "6 samples" in printed
    for wrong, told in ((["--out", str(tmp_path / "x.txt")], ".jsonl"), ([], "--out")):
        with pytest.raises(SystemExit) as ended:
            main([*words, *wrong])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err
