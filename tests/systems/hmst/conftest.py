"""A small hierarchy, trained for two steps on a text of its own."""

from pathlib import Path

import pytest

from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.systems.learning import train
from pmi_kernel.training import TrainConfig

STEPS = TrainConfig(
    steps=2, batch=2, eval_every=1, save_every=1, best_by="loss", best_is="lowest", schedule="none"
)


def written(folder: Path) -> Path:
    path = folder / "train.txt"
    told = [f"Ada Brook played the oboe in {year}. Cole Dunn heard it." for year in range(300)]
    path.write_text("\n\n".join(told), encoding="utf-8")
    return path


def settings_of(text: Path) -> HMSTTraining:
    return HMSTTraining(text=str(text), sequence=32, eval_samples=4, state=16, dimension=32)


def trained_in(folder: Path) -> str:
    folder.mkdir(parents=True)
    train("hmst", settings_of(written(folder)), STEPS, folder / "training")
    return str(folder / "training")


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def settings(text: Path) -> HMSTTraining:
    return settings_of(text)


@pytest.fixture(scope="session")
def trained(settings: HMSTTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training, two steps long."""
    out = tmp_path_factory.mktemp("hmst") / "training"
    train("hmst", settings, STEPS, out)
    return out
