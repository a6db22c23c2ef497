"""The second stage: what is told first is found, answered from, and judged."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pmi_kernel.core.errors import ConfigError, SettingsError
from pmi_kernel.systems.hmst.train.remembering import MemoryLearner
from pmi_kernel.systems.hmst.train.stages import open_stage
from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.systems.learning import open_learner, train
from pmi_kernel.training import Sample, read_checkpoint
from tests.systems.hmst.conftest import STEPS

WORLD = "world:split={},n={},asked=2,paragraphs=3,unanswerable=0.3"
MEASURES = {
    "loss",
    "recent_em",
    "recent_first",
    "long_ago_em",
    "long_ago_first",
    "unknown",
    "auroc",
    "ece",
}


@pytest.fixture(scope="module")
def lessons(trained: Path) -> HMSTTraining:
    return HMSTTraining(
        stage="memory",
        init=str(trained),
        data=WORLD.format("train", 400),
        eval_data=WORLD.format("dev", 12),
        eval_questions=6,
        device="cpu",
    )


def test_finding_answering_and_judging_are_learned(lessons: HMSTTraining) -> None:
    learner = open_learner("hmst", lessons)
    assert isinstance(learner, MemoryLearner)
    tensors = {name: t for group in learner.groups() for name, t in group.tensors.items()}
    parts = {name.partition(".")[0] for name in tensors}
    assert parts == {"base", "ssm", "recall", "entry", "query", "critic"}
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(tensors.values(), lr=2e-3)
    samples = [Sample(0, number) for number in range(4)]
    told = []
    for _ in range(12):
        optimizer.zero_grad()
        told.append(learner.update(samples, lambda loss: loss.backward()))
        optimizer.step()
    for name in ("answer_loss", "semantic_loss", "episodic_loss", "critic_loss"):
        least = min(one[name] for one in told[-3:])
        assert least < told[0][name] - 0.1, name
    found = learner.evaluate()
    assert set(found.measures) == MEASURES
    assert found.measures == learner.evaluate().measures
    assert set(found.examples[0]) == {"question", "answer", "gold"}


def test_a_training_gone_on_with_is_bit_equal_and_says_where_it_began(
    lessons: HMSTTraining, trained: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    few, steps = lessons.but(eval_questions=2), STEPS.but(eval_every=2, eval_first=False)
    train("hmst", few, steps, one)
    train("hmst", few, steps.but(steps=1), two)
    train("hmst", few, steps, two)
    kept, again = (load_file(out / "step-00000002/weights.safetensors") for out in (one, two))
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    facts = read_checkpoint(one, system="hmst").meta["facts"]
    assert facts["init_sha256"] == read_checkpoint(trained, system="hmst").sha256
    assert facts["model"] == "micro"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": ""}, "needs data"),
        ({"text": "train.txt"}, "reads no text"),
        ({"stage": "language"}, "not data"),
    ],
)
def test_a_stage_says_what_it_needs(
    lessons: HMSTTraining, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        lessons.but(**changes)


def test_a_base_that_cannot_read_and_questions_without_support_are_refused(
    lessons: HMSTTraining,
) -> None:
    with pytest.raises(ConfigError, match="a base that can read"):
        open_stage(lessons.but(init=""))
    nothing = "world:split=dev,n=2,paragraphs=2,unanswerable=1"
    with pytest.raises(ConfigError, match="no question is supported"):
        open_stage(lessons.but(eval_data=nothing))
