"""The third stage: what decides learns what a question is worth."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pmi_kernel.core.errors import SettingsError
from pmi_kernel.systems.hmst.train.deciding import ControllerLearner
from pmi_kernel.systems.hmst.train.stages import open_stage
from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.systems.learning import train
from pmi_kernel.training import Sample
from tests.systems.hmst.conftest import STEPS

WORLD = "world:split={},n={},paragraphs=2"
NAMES = ("", "_always", "_never", "_random", "_threshold")


@pytest.fixture(scope="module")
def deciding(trained: Path) -> HMSTTraining:
    return HMSTTraining(
        stage="controller",
        init=str(trained),
        data=WORLD.format("train", 3),
        eval_data=WORLD.format("dev", 3),
        eval_questions=3,
        rounds=2,
        entropy=0.0,
        device="cpu",
    )


def updated(learner: ControllerLearner, steps: int, size: int = 8) -> list[dict[str, float]]:
    """What so many steps on rollouts of some questions say."""
    tensors = [one for group in learner.groups() for one in group.tensors.values()]
    optimizer = torch.optim.Adam(tensors, lr=3e-3)
    told = []
    for step in range(steps):
        optimizer.zero_grad()
        samples = [Sample(0, number % 3, step) for number in range(size)]
        told.append(dict(learner.update(samples, lambda loss: loss.backward())))
        optimizer.step()
    return told


def test_what_pays_is_decided(deciding: HMSTTraining) -> None:
    """Where only costs count, nothing is searched, and few blocks are run."""
    torch.manual_seed(0)
    costs = deciding.but(accuracy=0.0, calibration=0.0, latency=1.0, compute=1.0, rounds=4)
    learner = open_stage(costs)
    assert isinstance(learner, ControllerLearner)
    told = updated(learner, 48, size=16)
    assert told[-1]["reward"] > told[0]["reward"] + 0.3
    found = learner.evaluate().measures
    assert found["reward"] > max(found[f"reward{name}"] for name in NAMES[1:])
    assert found["compute"] < 0.8 * found["compute_never"]


def test_decisions_are_tried_and_measured_beside_simple_policies(deciding: HMSTTraining) -> None:
    learner = open_stage(deciding)
    assert isinstance(learner, ControllerLearner)
    names = {name for group in learner.groups() for name in group.tensors}
    assert {name.partition(".")[0] for name in names} == {"controller", "summary"}
    found = learner.evaluate()
    keys = {f"{key}{name}" for key in ("reward", "accuracy", "compute") for name in NAMES}
    assert set(found.measures) == {*keys, "loss"}
    assert found.measures["compute_always"] == pytest.approx(1)
    assert found.measures["compute_never"] < 1
    assert [one["told"] for one in found.examples] == ["recent", "long_ago", "never"]
    assert found.measures == learner.evaluate().measures
    first, second, third = updated(learner, 3)
    assert first["reward"] == second["reward"]  # two rounds on what was done
    assert first["moved_nats"] == pytest.approx(0, abs=1e-5)
    assert third["moved_nats"] == pytest.approx(0, abs=1e-5)


def test_a_training_gone_on_with_is_bit_equal(deciding: HMSTTraining, tmp_path: Path) -> None:
    """Also where it stopped between two rounds on the same decisions."""
    how = STEPS.but(steps=3, eval_every=3, eval_first=False)
    train("hmst", deciding, how, tmp_path / "0")
    for stopped_after in (1, 2):
        train("hmst", deciding, how.but(steps=stopped_after), tmp_path / f"{stopped_after}")
        train("hmst", deciding, how, tmp_path / f"{stopped_after}")
    kept, *others = (
        load_file(tmp_path / f"{one}/step-00000003/weights.safetensors") for one in range(3)
    )
    assert all(torch.equal(kept[name], again[name]) for again in others for name in kept)


def test_a_controller_needs_memories_that_were_trained(deciding: HMSTTraining) -> None:
    with pytest.raises(SettingsError, match="needs init"):
        deciding.but(init="")
