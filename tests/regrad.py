"""A short meta-training of the tiny model."""

from pathlib import Path

from pmi_kernel.systems.learning import train
from pmi_kernel.systems.regrad.training import RegradTraining
from pmi_kernel.training import TrainConfig

TRAIN = "world:split=train,n=300,asked=3,paragraphs=2,unanswerable=0.1"
DEV = "world:split=dev,n=4,paragraphs=2"


def training(tiny: str, **changes: object) -> RegradTraining:
    """Settings for the tiny model, whose tokens are bytes."""
    settings: dict[str, object] = {
        "model": tiny,
        "data": TRAIN,
        "eval_data": DEV,
        "depth": 0.5,
        "rank": 4,
        "scale": 8.0,
        "max_context_len": 48,
        "locality_rows": 2,
        "locality_texts": 2,
        "device": "cpu",
        "passages": (1, 2),
    }
    return RegradTraining(**{**settings, **changes})


def train_start(tiny: str, out: Path) -> Path:
    """Train for two steps into a folder, and return it."""
    config = TrainConfig(steps=2, batch=3, lr=1e-3, eval_every=2, save_every=1, device="cpu")
    train("regrad", training(tiny), config, out)
    return out
