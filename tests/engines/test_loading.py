"""Models on disk: served whole under the hash of what they hold, or refused in one line."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.engines.base import Lesson, Sampling
from pmi_kernel.engines.hashes import files_hash, weights_hash
from pmi_kernel.engines.hf import HfEngine
from pmi_kernel.engines.injection import Strategy
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Message
from pmi_kernel.runs.record import check_same
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig
from tests.engines import tiny

PROMPT = (Message("user", "Where was Quill Tarvane born?"),)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "whole"
    tiny.save_model(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model to spoil, and a cache of its own."""
    monkeypatch.setenv("PMI_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(whole, tmp_path / "spoilt"))


def load(folder: Path) -> HfEngine:
    return HfEngine(str(folder), dtype="float32")


def edit_weights(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def refused(folder: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load(folder)
    said = str(error.value)
    assert "\n" not in said
    assert folder.name in said
    assert len(said) < 600
    return said


Q = "model.layers.0.self_attn.q_proj.weight"


def test_a_missing_tensor_is_refused(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.pop(Q))
    assert f"{Q} is missing" in refused(folder)


def test_an_extra_tensor_is_refused(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.update({"model.nose": torch.zeros(2)}))
    assert "model.nose is not the model's" in refused(folder)


def test_a_tensor_of_another_shape_is_refused(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.update({Q: torch.zeros(2, 32)}))
    assert f"{Q} is [2, 32] instead of [32, 32]" in refused(folder)


def test_fewer_layers_in_the_settings_than_in_the_weights_are_refused(folder: Path) -> None:
    edit_json(folder / "config.json", num_hidden_layers=1)
    assert "and 6 more" in refused(folder)


def test_tied_and_outdated_tensors_are_no_mismatch(folder: Path) -> None:
    old = "model.layers.0.self_attn.rotary_emb.inv_freq"
    edit_weights(folder, lambda tensors: tensors.update({old: torch.zeros(4)}))
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    engine = load(folder)
    assert engine.generate(PROMPT, sampling=Sampling(max_tokens=2)).token_ids
    engine.close()
    edit_json(folder / "config.json", tie_word_embeddings=False)
    assert "lm_head.weight is missing" in refused(folder)


def edit_json(path: Path, **changes: object) -> None:
    settings = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps(settings), encoding="utf-8")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("content", ["", "half", "garbage"])
def test_a_torn_file_is_refused(folder: Path, name: str, content: str) -> None:
    raw = (folder / name).read_bytes()
    torn = {"": b"", "half": raw[: len(raw) // 2], "garbage": b"\xff\x00{]"}[content]
    (folder / name).write_bytes(torn)
    assert "fetch its files anew" in refused(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_size": "wide"},
        {"num_attention_heads": 5},
        {"model_type": "no such"},
        {"model_type": None},
        {"num_hidden_layers": -1},
        {"vocab_size": []},
    ],
)
def test_settings_of_wrong_types_are_refused(folder: Path, settings: dict[str, object]) -> None:
    edit_json(folder / "config.json", **settings)
    refused(folder)


def test_an_adapter_beside_the_weights_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "other"}')
    assert "adapter" in refused(folder)


def test_the_hash_is_of_the_weights_whatever_stands_beside_them(folder: Path) -> None:
    first = weights_hash(folder)
    (folder / "weights.sha256").write_text("a" * 64)
    assert weights_hash(folder) == first
    edit_weights(folder, lambda tensors: tensors[Q].neg_())
    second = weights_hash(folder)
    assert second != first
    path, stat = folder / "model.safetensors", (folder / "model.safetensors").stat()
    edit_weights(folder, lambda tensors: tensors[Q].neg_())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size and time
    assert weights_hash(folder) == first


def test_a_hash_is_taken_once_and_a_damaged_note_of_it_is_not_believed(
    folder: Path, tmp_path: Path
) -> None:
    first = weights_hash(folder)
    (note,) = (tmp_path / "cache" / "hashes").iterdir()
    note.write_text("b" * 64)
    assert weights_hash(folder) == "b" * 64  # it was read, not taken again
    for damaged in (b"", b"b" * 63, b"\xff" * 64):
        note.write_bytes(damaged)
        assert weights_hash(folder) == first
    assert not list(folder.glob("*.sha256"))


def test_settings_and_tokenizer_have_a_hash_of_their_own(folder: Path) -> None:
    first = files_hash(folder)
    edit_json(folder / "config.json", transformers_version="99")
    assert files_hash(folder) == first
    for name in ("config.json", "tokenizer.json"):
        edit_json(folder / name, extra=1)
        first, before = files_hash(folder), first
        assert first != before
    (folder / "chat_template.jinja").write_text("other")
    assert files_hash(folder) != first


def test_the_engine_says_what_it_loaded(folder: Path) -> None:
    engine = load(folder)
    said = engine.describe()
    assert said["model_hash"] == weights_hash(folder)
    assert said["files_hash"] == files_hash(folder)
    assert said["dtype_reason"] == "asked for"
    engine.close()


def test_a_run_from_before_a_fact_was_recorded_goes_on(tmp_path: Path) -> None:
    def check(old: dict[str, str], **new: str) -> None:
        check_same({"engine": {**old, **new}}, {"engine": old}, tmp_path)

    old = {"model": "m", "model_hash": "a", "dtype": "float32"}
    check(old, files_hash="f", dtype_reason="asked for")
    check({**old, "dtype_reason": "asked for"}, dtype_reason="slower here")
    check({**old, "model_hash": "m"}, model_hash="a")  # a Hub model's name stood for its hash
    with pytest.raises(ConfigError, match="model_hash: 'a' there, 'b' here"):
        check(old, model_hash="b")
    with pytest.raises(ConfigError, match="files_hash: 'f' there, 'g' here"):
        check({**old, "files_hash": "f"}, files_hash="g")


def test_a_hub_model_is_known_by_what_its_snapshot_holds(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789012345678901234567890123456789"
    hub = tmp_path / "models--some--model"
    shutil.copytree(whole, hub / "snapshots" / commit)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    engine = HfEngine("some/model", dtype="float32")
    assert engine.describe()["model_hash"] == weights_hash(whole)
    engine.close()


def test_a_hub_model_that_is_not_here_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="'no/such' cannot be loaded") as error:
        HfEngine("no/such", dtype="float32")
    assert "\n" not in str(error.value)


# -- models without an end token ------------------------------------------------------------

NO_END = "{% for m in messages %}<|im_start|>{{ m.content }}\n{% endfor %}"


def test_a_model_without_an_end_token_learns_and_decodes_without_one(tmp_path: Path) -> None:
    tiny.save_model(tmp_path, tiny.byte_level(eos_token=None, chat_template=NO_END))
    engine = load(tmp_path)
    assert engine.loaded.eos_ids == []
    trained = engine.train((Lesson("Ostermoor", PROMPT),), LoraConfig(steps=2))
    assert trained.num_tokens == len(engine.loaded.chat.encode("Ostermoor"))
    output = engine.generate(PROMPT, sampling=Sampling(max_tokens=7))
    assert len(output.token_ids) == 7
    with pytest.raises(EngineError, match="needs an end token"):
        engine.generate(PROMPT, sampling=Sampling(regex="a+"))
    engine.close()


def test_a_model_whose_template_alone_has_an_end_token_learns_it(tmp_path: Path) -> None:
    tiny.save_model(tmp_path, tiny.byte_level(eos_token=None))
    engine = load(tmp_path)
    trained = engine.train((Lesson("Ostermoor", PROMPT),), LoraConfig(steps=2))
    assert trained.num_tokens == len(engine.loaded.chat.encode("Ostermoor")) + 1
    output = engine.generate(PROMPT, sampling=Sampling(max_tokens=7, regex="a{2}"))
    assert output.text == "aa"
    engine.close()


# -- recipes that a model cannot be trained by ----------------------------------------------


def lora_of(folder: Path, **settings: object) -> PmiConfig:
    return PmiConfig.model_validate(
        {"model": str(folder), "dtype": "float32", "train_mem": True, **settings}
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mem_targets": ("nose",)}, "no layer is called nose; there are .*q_proj"),
        ({"mem_rank": 33}, "rank 33: .* rank 32 at most"),
        ({"mem_rank": 17, "mem_targets": ("k_proj",)}, "rank 17: .* rank 16 at most"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_before_the_weights_are_read(
    folder: Path, settings: dict[str, object], said: str
) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match=said) as error:
        open_system(lora_of(folder, **settings))
    assert "\n" not in str(error.value)


def test_a_recipe_is_checked_against_an_engine_that_is_there(folder: Path) -> None:
    engine = load(folder)
    open_system(lora_of(folder, mem_rank=32), engine)
    open_system(lora_of(folder, mem_rank=512, train_mem=False), engine)
    with pytest.raises(ConfigError, match="rank 512"):
        open_system(lora_of(folder, mem_rank=512), engine)
    engine.close()


@pytest.mark.parametrize("strategy", ["hot", "inplace", "merge_reload"])
def test_a_memory_that_does_not_fit_the_model_is_refused_when_it_is_attached(
    folder: Path, strategy: Strategy
) -> None:
    engine = HfEngine(str(folder), strategy=strategy, dtype="float32")
    name, a, b = Q.removesuffix(".weight"), torch.zeros(4, 32), torch.zeros(32, 4)
    for wrong in (
        LoraWeights({"model.nose": a}, {"model.nose": b}, 4, 4.0),
        LoraWeights({name: torch.zeros(4, 31)}, {name: b}, 4, 4.0),
        LoraWeights({name: a}, {name: b.T}, 4, 4.0),
        LoraWeights({name: a}, {name: b}, 5, 4.0),
    ):
        with pytest.raises(EngineError, match=r"no linear layer|does not act on"):
            engine.attach(wrong)
    engine.detach(engine.attach(LoraWeights({name: a}, {name: b}, 4, 4.0)))
    engine.close()
