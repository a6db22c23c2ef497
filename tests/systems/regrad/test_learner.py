"""The learner of retrievable gradients on a tiny model: gradients, draws, checkpoints."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.lora.start import Start
from pmi_kernel.systems.learning import train
from pmi_kernel.systems.regrad.learner import RegradLearner
from pmi_kernel.training import Sample, TrainConfig
from tests.regrad import DEV, TRAIN, training

SAMPLES = [Sample(0, number) for number in (5, 2, 9)]


def gradients(learner: RegradLearner) -> tuple[dict[str, Tensor], dict[str, float]]:
    """One update's gradients by group and name, and its measures; the parameters stay."""
    measures = learner.update(SAMPLES, lambda loss: loss.backward())
    found = {}
    for group in learner.groups():
        for name, tensor in group.tensors.items():
            assert tensor.grad is not None, name
            found[f"{group.name} {name}"], tensor.grad = tensor.grad, None
    return found, dict(measures)


@pytest.mark.parametrize("alpha", ["full", "tie", "same", "fix"])
def test_one_graph_at_a_time_gives_the_gradient_of_all_at_once(tiny: str, alpha: str) -> None:
    found = []
    for graphs in ("joint", "single"):
        learner = RegradLearner(training(tiny, alpha=alpha, graphs=graphs))
        with torch.no_grad():  # at B = 0 the gradient of A is none
            for name, tensor in learner.theta.items():
                if name.endswith("lora_B"):
                    tensor += torch.linspace(-0.1, 0.1, tensor.numel()).view_as(tensor)
        found.append(gradients(learner))
    (joint, told), (single, also) = found
    assert joint.keys() == single.keys()
    assert any(name.startswith("alpha") for name in joint) == (alpha != "fix")
    for name, gradient in joint.items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(single[name], gradient, rtol=0, atol=2e-4 * scale + 1e-9)
    for name, value in told.items():
        assert also[name] == pytest.approx(value, rel=1e-5)
    assert told["loss"] == pytest.approx(told["answer"] + told["locality"], rel=1e-5)


def test_first_order_leaves_out_how_the_gradients_depend_on_the_start(tiny: str) -> None:
    second, first = (RegradLearner(training(tiny, order=order)) for order in ("second", "first"))
    (one, told), (other, also) = gradients(second), gradients(first)
    assert told["loss"] == pytest.approx(also["loss"], rel=1e-5)
    lora = [name for name in one if name.startswith("lora")]
    assert any(not torch.allclose(one[name], other[name], rtol=0.05) for name in lora)


def test_the_baseline_learns_the_text_alone(tiny: str) -> None:
    learner = RegradLearner(training(tiny, outer_loss=False))
    assert [group.name for group in learner.groups()] == ["lora"]
    _, told = gradients(learner)
    assert told.keys() == {"loss", "num_tokens"}


def test_a_sample_is_a_function_of_seed_epoch_and_number(tiny: str) -> None:
    learner = RegradLearner(training(tiny))
    assert learner.num_samples == 100
    (one, told), (again, also) = gradients(learner), gradients(learner)
    assert told == also
    assert all(torch.equal(one[name], again[name]) for name in one)
    other = RegradLearner(training(tiny, seed=1))
    assert gradients(other)[1]["loss"] != told["loss"]


def test_passages_of_its_own_context_stand_in_a_memory_where_asked(tiny: str) -> None:
    told = {}
    for alike in (0.0, 1.0):
        own = training(tiny, alike=alike, passages=(2,), questions=1, locality=0.0)
        told[alike] = gradients(RegradLearner(own))[1]
        alone = training(tiny, alike=alike, passages=(1,), questions=1, locality=0.0)
        told[alike, 1] = gradients(RegradLearner(alone))[1]
    # The context's other paragraph is learned too: one more passage for each of three samples.
    assert told[1.0]["num_tokens"] == told[0.0]["num_tokens"] + 3 * 48
    assert told[1.0]["loss"] != told[0.0]["loss"]
    assert told[1.0, 1] == told[0.0, 1]


def test_an_evaluation_is_shares_with_examples(tiny: str) -> None:
    found = RegradLearner(training(tiny)).evaluate()
    assert found.measures.keys() >= {"em", "em_1", "em_4", "wrong"}
    assert all(0 <= value <= 1 for value in found.measures.values())
    assert found.examples[0].keys() == {"question", "gold", "likeliest"}


def test_a_training_leaves_a_start_that_is_read_back(trained: Path, tiny: str) -> None:
    summary = json.loads((trained / "summary.json").read_text())
    start = Start.load(trained / "step-00000002")
    assert summary["steps"] == 2
    assert start.on.model == tiny
    learner = RegradLearner(training(tiny))
    before = {name: tensor.detach().clone() for name, tensor in learner.theta.items()}
    learner.load(trained / "step-00000002")
    for name, tensor in learner.theta.items():
        assert torch.equal(tensor, start.theta[name])
    assert any(not torch.equal(before[name], tensor) for name, tensor in learner.theta.items())
    begun = RegradLearner(training(tiny, init=str(trained / "step-00000002")))
    assert torch.equal(begun.theta[name], start.theta[name])
    assert len(str(begun.facts()["init_sha256"])) == 64
    with pytest.raises(ConfigError, match="lora_A"):
        RegradLearner(training(tiny, rank=2)).load(trained / "step-00000002")


def test_what_is_measured_must_not_be_learned(tiny: str, tmp_path: Path) -> None:
    config = TrainConfig(steps=1, device="cpu")
    with pytest.raises(DataError, match="share"):
        train("regrad", training(tiny, eval_data=TRAIN), config, tmp_path / "x")
    assert not (tmp_path / "x" / "train_log.jsonl").exists()


def test_a_preset_is_defaults_that_flags_change(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    words = ["--preset", "regrad_1b", "--model", tiny, "--data", TRAIN, "--eval_data", DEV]
    words += ["--out", str(out), "--steps", "1", "--batch", "2", "--dtype", "float32"]
    words += ["--precision", "float32", "--max_context_len", "40", "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        main(["train", "regrad", *words])
    assert ended.value.code == 0
    record = json.loads((out / "config.json").read_text())
    assert (record["learner"]["rank"], record["learner"]["use_simple_prompt"]) == (16, False)
    assert (record["config"]["lr"], record["config"]["batch"]) == (4e-4, 2)
    assert record["learner"]["max_context_len"] == 40
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["train", "regrad", "--preset", "regrad_70b", "--out", str(out)])
    assert "regrad_smollm2, regrad_1b, regrad_3b, regrad_8b" in capsys.readouterr().err


def test_settings_that_cannot_be_are_refused_in_one_line(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", str(tmp_path / "x"), "--model", tiny, "--data", TRAIN, "--eval_data", DEV)
    for words, message in (
        (("--targets", "no_such_layer"), "no_such_layer"),
        (("--graphs", "single", "--order", "first"), "second-order"),
        (("--init_alpha", "-1"), "init_alpha"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["train", "regrad", *out, *words])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
