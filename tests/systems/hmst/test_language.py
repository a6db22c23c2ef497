"""The first stage: a base that goes on with a text."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, SettingsError
from pmi_kernel.data.tokens import documents, tokenize
from pmi_kernel.systems.hmst.train.language import LanguageLearner
from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.systems.learning import train
from pmi_kernel.training import Sample, read_checkpoint
from pmi_kernel.training.bpe import train_tokenizer
from tests.systems.hmst.conftest import STEPS


def test_a_text_is_learned(settings: HMSTTraining) -> None:
    learner = LanguageLearner(settings)
    tensors = [one for group in learner.groups() for one in group.tensors.values()]
    optimizer = torch.optim.AdamW(tensors, lr=1e-3)
    before = learner.evaluate().measures
    for step in range(6):
        optimizer.zero_grad()
        samples = [Sample(0, number % learner.num_samples, step) for number in range(4)]
        found = learner.update(samples, lambda loss: loss.backward())
        optimizer.step()
    after = learner.evaluate()
    assert after.measures["loss"] < before["loss"] - 1.0
    assert after.measures["perplexity"] < before["perplexity"]
    assert after.measures == learner.evaluate().measures
    assert found["num_tokens"] == 4 * 32
    assert found["loss"] > found["language_loss"]
    assert set(after.examples[0]) == {"text", "goes on"}
    names = {name for group in learner.groups() for name in group.tensors}
    assert all(name.startswith("base.") for name in names)


def test_a_training_gone_on_with_is_bit_equal_to_one_in_one(
    settings: HMSTTraining, trained: Path, tmp_path: Path
) -> None:
    train("hmst", settings, STEPS.but(steps=1), tmp_path)
    train("hmst", settings, STEPS, tmp_path)
    one, other = (
        load_file(out / "step-00000002/weights.safetensors") for out in (trained, tmp_path)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_says_what_it_was_made_of(trained: Path, settings: HMSTTraining) -> None:
    facts: Any = read_checkpoint(trained, system="hmst").meta["facts"]
    assert facts["model"] == "micro"
    assert facts["parameters"] == pytest.approx(10e6, rel=0.1)
    assert facts["active_parameters"] < facts["parameters"]
    assert facts["text_sha256"] != facts["val_sha256"]
    again = LanguageLearner(settings.but(init=str(trained)))
    assert again.facts()["init_sha256"] == read_checkpoint(trained, system="hmst").sha256
    assert again.evaluate().measures["loss"] < LanguageLearner(settings).evaluate().measures["loss"]


def test_tokens_on_disk_are_the_same_text(text: Path, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(documents(str(text)), 8_192)
    tokens = tokenize(documents(str(text)), tokenizer, tmp_path / "tokens")
    tokenizer.save_pretrained(tmp_path / "tokens/tokenizer")
    config = HMSTTraining(pretokenized=str(tmp_path / "tokens"), sequence=32, eval_samples=2)
    learner = LanguageLearner(config)
    held = int(0.1 * len(tokens))
    assert learner.num_samples == (len(tokens) - held - 1) // 32
    first = learner.hierarchy.tokenizer.decode(learner._train.sample(0)[:12])
    assert first.strip().startswith("Ada Brook played the oboe")
    train_tokenizer(["other text"], 300).save_pretrained(tmp_path / "other")
    with pytest.raises(ConfigError, match="another tokenizer"):
        LanguageLearner(config.but(tokenizer_path=str(tmp_path / "other")))


def test_what_is_held_out_is_of_its_own(text: Path, tmp_path: Path) -> None:
    val = tmp_path / "val.txt"
    val.write_text("Something else is said here, again and again. " * 20, encoding="utf-8")
    config = HMSTTraining(text=str(text), val_file=str(val), sequence=32)
    learner = LanguageLearner(config)
    whole = LanguageLearner(HMSTTraining(text=str(text), sequence=32))
    assert learner.num_samples > whole.num_samples
    assert "else is said" in learner.evaluate().examples[0]["text"]


def test_what_cannot_be_trained_on_is_refused(text: Path, tmp_path: Path) -> None:
    for wrong in (
        {},
        {"text": "a", "pretokenized": "b"},
        {"text": "a", "val_file": "b", "val_split": 0.2},
    ):
        with pytest.raises(SettingsError):
            HMSTTraining(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not one sample"):
        LanguageLearner(HMSTTraining(text=str(text), sequence=100_000))
    with pytest.raises(ConfigError, match="expected micro"):
        LanguageLearner(HMSTTraining(text=str(text), model_size="enormous"))


def test_the_prototypes_flags_are_known(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "train hmst --model_size micro --sequence 32 --batch_size 2 --learning_rate 3e-4"
    more = "--gradient_accumulation_steps 2 --mixed_precision --steps 1 --eval_samples 1"
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), *more.split(), "--text", str(text), "--output_dir", str(out)])
    assert ended.value.code == 0
    record = json.loads((out / "config.json").read_text())
    told = json.dumps(record)
    assert '"accumulation": 2' in told
    assert '"precision": "bf16"' in told
