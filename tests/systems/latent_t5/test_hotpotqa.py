"""Both learners on real questions in the official layout, and both systems on what they made."""

from pathlib import Path

import pytest

from pmi_kernel.systems.latent_t5.learner import BaselineT5Learner, LatentT5Learner
from pmi_kernel.training import Sample
from tests.systems.latent_t5.conftest import ASKED, BASELINE, pmi


@pytest.fixture
def real(shared_data: Path) -> dict[str, str]:
    folder = shared_data / "hotpotqa"
    return {
        "data": str(folder / "hotpot_train_sample_100.json"),
        "eval_data": f"first:4:{folder / 'hotpot_dev_distractor_sample_100.json'}",
    }


def test_real_questions_are_learned_with_their_supporting_sentences(real: dict[str, str]) -> None:
    learner = LatentT5Learner(ASKED.but(**real, questions=1, max_context_tokens=768))
    found = learner.update([Sample(0, 0), Sample(0, 1)], lambda loss: loss.backward())
    assert found["support_loss"] > 0
    assert found["cut_tokens"] > 0
    assert learner.num_samples == 100
    baseline = BaselineT5Learner(BASELINE.but(**real, questions=1))
    assert baseline.update([Sample(0, 0)], lambda loss: loss.backward())["cut_tokens"] > 0


def test_a_run_over_real_questions_counts_what_was_cut(
    real: dict[str, str], asked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--checkpoint", asked, "--data", real["eval_data"], "--device", "cpu"]
    assert pmi("run", "--system", "latent_t5", *words, "--out", str(tmp_path / "run")) == 0
    assert "4 episodes done" in capsys.readouterr().out
