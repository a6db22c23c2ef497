"""Training of both systems: three rates, a frozen T5, growing contexts, and going on."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pmi_kernel.core.errors import ConfigError, SettingsError
from pmi_kernel.data import load_examples
from pmi_kernel.systems.latent_t5.learner import BaselineT5Learner, LatentT5Learner
from pmi_kernel.systems.latent_t5.training import BaselineT5Training, LatentT5Training
from pmi_kernel.systems.learning import train
from pmi_kernel.training import Sample, TrainConfig, read_checkpoint
from tests.systems.latent_t5.conftest import (
    ASKED,
    BASELINE,
    LATENT,
    TRAIN,
    encoder_of_bert_kind,
    pmi,
)

RATES = LATENT.but(lr_latent=1e-3, lr_t5=2e-4, lr_encoder=3e-4)


def weights(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "weights.safetensors")


def updated(learner: LatentT5Learner, sample: Sample) -> dict[str, float]:
    for tensor in learner.model.parameters():
        tensor.grad = None
    return dict(learner.update([sample], lambda loss: loss.backward()))


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> LatentT5Learner:
    texts = [example.task.question for example in load_examples(LATENT.eval_data)]
    encoder = encoder_of_bert_kind(tmp_path_factory.mktemp("encoder"), texts)
    changes = {"encoder": encoder, "latents": "asked", "init_gate": 0.5, "freeze_t5_initially": "3"}
    return LatentT5Learner(RATES.but(**changes))


def test_each_part_has_a_rate_of_its_own(learner: LatentT5Learner) -> None:
    groups = {group.name: group for group in learner.groups()}
    assert {name: group.lr for name, group in groups.items()} == {
        "encoder": 3e-4,
        "t5": 2e-4,
        "latent": 1e-3,
    }
    named = [name for group in groups.values() for name in group.tensors]
    assert sorted(named) == sorted(dict(learner.model.named_parameters()))
    assert "latent_gate" in groups["latent"].tensors
    own = LatentT5Learner(RATES)
    assert [group.name for group in own.groups()] == ["t5", "latent"]


def test_t5_stays_as_it_is_until_it_is_time(learner: LatentT5Learner) -> None:
    for step, is_frozen in ((0, True), (2, True), (3, False)):
        updated(learner, Sample(0, 0, step))
        of_t5 = learner.model.t5.decoder.parameters()
        assert all((one.grad is None) is is_frozen for one in of_t5), step
        assert learner.model.selector.latents.grad is not None  # type: ignore[union-attr]
    assert all(one.requires_grad for one in learner.model.parameters())


@pytest.mark.parametrize(
    ("said", "frozen"),
    [("0", []), ("2", [(0, 0), (1, 0), (1, 9)]), ("1 epoch", [(0, 0), (1, 0), (5, 0)])],
)
def test_how_long_it_stays_is_told_in_steps_or_epochs(
    said: str, frozen: list[tuple[int, int]]
) -> None:
    config = LATENT.but(freeze_t5_initially=said)
    tried = [(0, 0), (1, 0), (5, 0), (1, 9), (5, 9)]
    assert sorted(one for one in tried if config.is_t5_frozen(*one)) == sorted(frozen)


def test_the_loss_is_that_of_the_answers_and_of_where_the_latents_look() -> None:
    learner = LatentT5Learner(ASKED)
    found = updated(learner, Sample(0, 1, 9))
    expected = found["answer_loss"] + learner.config.aux_loss_weight * found["support_loss"]
    assert found["loss"] == pytest.approx(expected)
    assert found["support_loss"] > 0
    assert found["cut_tokens"] == 0


def test_what_the_encoder_cannot_take_is_counted(learner: LatentT5Learner) -> None:
    assert updated(learner, Sample(0, 1, 9))["cut_tokens"] > 0  # there is room for 40


def test_activations_computed_again_give_the_same_gradient(tmp_path: Path) -> None:
    norms = []
    for name, is_again in (("kept", False), ("again", True)):
        how = TRAIN.but(steps=1, gradient_checkpointing=is_again)
        train("latent_t5", ASKED, how, tmp_path / name)
        [row] = (tmp_path / name / "train_log.jsonl").read_text().splitlines()
        norms.append(json.loads(row)["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_contexts_grow_at_their_steps() -> None:
    config = LATENT.but(paragraphs=(1, 3), grow_at=(10,))
    assert [config.most_paragraphs(step) for step in (0, 9, 10, 99)] == [1, 1, 3, 3]
    assert LATENT.most_paragraphs(5) is None
    for wrong in ({"paragraphs": (1, 3)}, {"paragraphs": (1, 3, 10), "grow_at": (9, 5)}):
        with pytest.raises(SettingsError, match="grow_at"):
            LATENT.but(**wrong)


def test_questions_about_one_context_share_its_encoding(learner: LatentT5Learner) -> None:
    read: list[int] = []
    handle = learner.model.encoder.register_forward_pre_hook(  # type: ignore[union-attr,operator]
        lambda module, given, named: read.append(len(named["input_ids"])), with_kwargs=True
    )
    updated(learner, Sample(0, 0, 9))
    handle.remove()
    assert read == [1]


def test_what_supports_is_learned_to_be_quoted_where_that_is_asked_for() -> None:
    whole = LatentT5Learner(RATES.but(quote=1.0)).update([Sample(0, 0)], lambda loss: None)
    none = LatentT5Learner(RATES).update([Sample(0, 0)], lambda loss: None)
    assert whole["num_tokens"] > none["num_tokens"]


def test_at_first_sentences_are_copied_where_that_is_asked_for() -> None:
    learner = LatentT5Learner(RATES.but(copy_steps=2, init_gate=1.0))
    at_first, after = (updated(learner, Sample(0, 0, step)) for step in (1, 2))
    assert at_first.keys() == after.keys()
    assert at_first["copy_loss"] > 0 == after["copy_loss"]
    missed = learner.config.aux_loss_weight * at_first["coverage_loss"]
    whole = at_first["copy_loss"] + at_first["answer_loss"] + missed
    assert missed > 0
    assert at_first["loss"] == pytest.approx(whole)
    assert at_first["num_tokens"] > after["num_tokens"]


def test_every_second_step_may_use_fewer_latents() -> None:
    numbers: dict[bool, list[set[int]]] = {True: [], False: []}
    for is_varied, found in numbers.items():
        learner = LatentT5Learner(ASKED.but(vary_latents=is_varied))
        norm = learner.model.norm  # type: ignore[union-attr]
        seen = set[int]()
        handle = norm.register_forward_pre_hook(  # type: ignore[operator]
            lambda module, given, seen=seen: seen.add(given[0].shape[1])
        )
        for step in range(12):
            learner.update([Sample(0, 0, step)], lambda loss: None)
        handle.remove()
        found.append(seen)
    most = ASKED.num_latents
    assert numbers[False] == [{most}]
    assert max(numbers[True][0]) == most > min(numbers[True][0]) >= 1


def test_a_training_gone_on_with_is_bit_equal_to_one_in_one(tmp_path: Path) -> None:
    once = train("latent_t5", ASKED, TRAIN.but(steps=4, schedule="none"), tmp_path / "once")
    steps = TRAIN.but(schedule="none", keep_last=9)
    train("latent_t5", ASKED, steps, tmp_path / "twice")
    train("latent_t5", ASKED, steps.but(steps=4), tmp_path / "twice")
    one, other = weights(tmp_path / "once/step-00000004"), weights(tmp_path / "twice/step-00000004")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert once.name in ("step-00000004", "step-00000002")


def test_an_evaluation_measures_answers_and_attention(learner: LatentT5Learner) -> None:
    found = learner.evaluate()
    assert set(found.measures) == {"loss", "em", "f1", "support_mass"}
    assert 0 < found.measures["support_mass"] < 1
    assert found.examples[0]["gold"] == load_examples(LATENT.eval_data)[0].gold.answers[0]
    assert found == learner.evaluate()


def test_the_baseline_reads_as_much_as_fits_and_counts_the_rest() -> None:
    for most, is_cut in ((1_000, False), (64, True)):
        learner = BaselineT5Learner(BASELINE.but(max_input_tokens=most))
        found = learner.update([Sample(0, 0)], lambda loss: loss.backward())
        assert (found["cut_tokens"] > 0) is is_cut
    [group] = learner.groups()
    assert sorted(group.tensors) == sorted(dict(learner.model.named_parameters()))


def test_weights_to_begin_with_are_those_of_a_checkpoint(asked: str) -> None:
    other = "world:split=train,n=90,seed=3,paragraphs=2"
    learner = LatentT5Learner(ASKED.but(init=asked, seed=5, data=other, questions=1))
    found = weights(read_checkpoint(Path(asked)).folder)
    assert all(torch.equal(one, found[name]) for name, one in learner.model.named_parameters())
    own = LatentT5Learner(ASKED)
    words = "Where does Ada Brook live?"
    assert learner.built.tokenizer(words).input_ids == own.built.tokenizer(words).input_ids
    with pytest.raises(ConfigError, match="selector"):
        LatentT5Learner(ASKED.but(init=asked, num_latents=8))


def test_the_presets_are_whole_and_say_what_the_prototype_had() -> None:
    own, of_training = LatentT5Training.model_fields, TrainConfig.model_fields
    for kind in (LatentT5Training, BaselineT5Training):
        for name, preset in kind.presets.items():
            settings = {**kind.defaults, **preset}
            assert set(settings) <= kind.model_fields.keys() | of_training.keys(), name
            TrainConfig(**{k: v for k, v in settings.items() if k in of_training})
            kind(**{k: v for k, v in preset.items() if k in kind.model_fields})
    assert {name: own[name].default for name in ("lr_latent", "lr_t5", "lr_encoder")} == {
        "lr_latent": 1e-4,
        "lr_t5": 1e-5,
        "lr_encoder": 1e-5,
    }
    assert LatentT5Training().aux_loss_weight == 0.1
    assert LatentT5Training.presets["latent_t5_hotpotqa"]["aux_loss_weight"] == 1.0


def test_the_prototypes_flags_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = [
        "train", "latent_t5", "--output_dir", str(out), "--data", LATENT.data, "--eval_data",
        LATENT.eval_data, "--t5", "tiny", "--encoder", "t5", "--questions", "2",
        "--batch_size", "1", "--grad_accum_steps", "2", "--num_epochs", "0.01",
        "--lr_latent", "0.001", "--lr_t5", "0.0002", "--lr_encoder", "0.0003",
        "--max_context_tokens", "300", "--max_question_tokens", "20", "--max_answer_tokens", "9",
        "--freeze_t5_initially", "1 epoch", "--no_gradient_checkpointing", "--no_mixed_precision",
        "--aux_loss_weight", "0.5", "--num_latents", "4", "--device", "cpu",
    ]  # fmt: skip
    assert pmi(*words) == 0
    record = json.loads((out / "config.json").read_text())
    assert record["config"] | {
        "batch": 2, "accumulation": 2, "epochs": 0.01, "precision": "float32",
        "gradient_checkpointing": False, "eval_every": "epoch", "best_by": "loss",
        "best_is": "lowest",
    } == record["config"]  # fmt: skip
    assert record["learner"] | {"max_answer_tokens": 9, "aux_loss_weight": 0.5} == record["learner"]
    assert "best checkpoint" in capsys.readouterr().out
    assert pmi(*words[:2], "--help") == 0
    assert "--no_mixed_precision" in capsys.readouterr().out


def test_an_epoch_ends_with_an_evaluation_and_a_checkpoint(tmp_path: Path) -> None:
    config = TRAIN.but(epochs=2, steps=None, batch=2, eval_every="epoch", save_every="epoch",
                       best_is="lowest", keep_last=9)  # fmt: skip
    few = BASELINE.but(data="first:8:" + str(BASELINE.data))
    train("baseline_t5", few, config, tmp_path / "out")
    rows = (tmp_path / "out/eval_log.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [2, 4]
    assert {one.name for one in (tmp_path / "out").glob("step-*")} == {
        "step-00000002",
        "step-00000004",
    }
