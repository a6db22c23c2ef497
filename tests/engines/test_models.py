import json
import multiprocessing
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.places import cache_dir
from pmi_kernel.engines.hashes import weights_hash
from pmi_kernel.engines.models import EMBEDDED, resolve_model
from tests.conftest import ROOT
from tests.waiting import within

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(resolve_model(EMBEDDED))


def test_digits_are_single_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode("Born 12 March 1987,  42"))
    assert pieces == [
        "Born", "Ġ", "1", "2", "ĠMarch", "Ġ", "1", "9", "8", "7", ",", "ĠĠ", "4", "2",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["naïve café – 1987", "  a\n\tb 3.14", "日本語 ١٢٣", "\u202eabc"])
def test_text_survives_tokenising(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_tokens_and_template_are_the_models_own(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.model_max_length == 8192


def test_the_model_is_clean() -> None:
    folder = resolve_model(EMBEDDED)
    assert isinstance(folder, Path)
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    recorded = json.loads((ROOT / "runs/example/config.json").read_text(encoding="utf-8"))
    assert weights_hash(folder) == recorded["engine"]["model_hash"]


def resolve_in(cache: Path, results: "multiprocessing.Queue[str]") -> None:
    import os

    os.environ["PMI_CACHE"] = str(cache)
    results.put(str(resolve_model(EMBEDDED)))


@pytest.mark.slow
def test_two_processes_that_start_at_once_convert_once(tmp_path: Path) -> None:
    leftover = tmp_path / "models" / f"{EMBEDDED}.partial"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("a killed conversion")
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str] = context.Queue()
    workers = [context.Process(target=resolve_in, args=(tmp_path, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    folders = {results.get(timeout=within(30)) for _ in workers}
    for worker in workers:
        worker.join(timeout=within(3))
    assert len(folders) == 1
    made = [path for path in (tmp_path / "models").iterdir() if path.is_dir()]
    assert [str(path) for path in made] == list(folders)
    assert not (made[0] / "half").exists()


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        resolve_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="no weights"):
        resolve_model(str(tmp_path))


def test_any_other_name_is_the_hubs() -> None:
    assert resolve_model("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PMI_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
