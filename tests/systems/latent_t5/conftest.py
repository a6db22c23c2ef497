from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.settings import Settings
from pmi_kernel.core.task import Example
from pmi_kernel.data import load_examples
from pmi_kernel.systems.latent_t5.training import BaselineT5Training, LatentT5Training
from pmi_kernel.systems.learning import train
from pmi_kernel.training import TrainConfig
from pmi_kernel.training.bpe import train_tokenizer

DATA = {
    "data": "world:split=train,n=60,asked=2,paragraphs=3",
    "eval_data": "world:split=dev,n=4,paragraphs=3",
    "questions": 2,
    "t5": "tiny",
    "device": "cpu",
}
LATENT = LatentT5Training(**DATA, encoder="t5", num_latents=4, num_latent_heads=4)
ASKED = LATENT.but(latents="asked", init_gate=1.0, aux_loss_weight=1.0)
BASELINE = BaselineT5Training(**DATA)
TRAIN = TrainConfig(steps=2, batch=2, device="cpu", eval_first=False, best_by="loss")


def encoder_of_bert_kind(folder: Path, texts: list[str]) -> str:
    """A small encoder of another kind, with a tokenizer of its own and room for 40 tokens."""
    from transformers import DistilBertConfig, DistilBertModel

    tokenizer = train_tokenizer(texts, 2_560, is_ended=True)
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_heads=2, n_layers=1, hidden_dim=32,
        max_position_embeddings=40,
    )  # fmt: skip
    DistilBertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def pmi(*words: str) -> int | str | None:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def trained_in(folder: Path, config: Settings) -> str:
    system = "baseline_t5" if isinstance(config, BaselineT5Training) else "latent_t5"
    train(system, config, TRAIN, folder / "training")
    return str(folder / "training")


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained_in(tmp_path_factory.mktemp("asked"), ASKED)


@pytest.fixture(scope="session")
def blind(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained_in(tmp_path_factory.mktemp("blind"), LATENT)


@pytest.fixture(scope="session")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained_in(tmp_path_factory.mktemp("baseline"), BASELINE)


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return load_examples("world:split=dev,n=4,paragraphs=3")
