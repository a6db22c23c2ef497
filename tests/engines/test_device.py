"""The number format: what was measured is kept, and a CPU that bfloat16 kills is spared."""

import json
from pathlib import Path

import pytest
import torch

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.engines.device import choose_dtype, cpu_bfloat16_speedup

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    """This machine's record, measured once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PMI_CACHE", str(folder))
        cpu_bfloat16_speedup()
    (file,) = folder.iterdir()
    return file.read_text(encoding="utf-8")


@pytest.fixture
def record(measured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PMI_CACHE", str(tmp_path))
    path = tmp_path / "cpu_bfloat16.json"
    path.write_text(measured, encoding="utf-8")
    return path


def keep(record: Path, speedup: float) -> None:
    known = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(dict.fromkeys(known, speedup)), encoding="utf-8")


def test_bfloat16_is_taken_where_it_is_faster(record: Path) -> None:
    keep(record, 3.9)
    dtype, reason = choose_dtype("auto", CPU)
    assert (dtype, "3.9 times as fast" in reason) == (torch.bfloat16, True)
    keep(record, 0.5)
    dtype, reason = choose_dtype("auto", CPU)
    assert (dtype, "0.5 times as fast" in reason) == (torch.float32, True)
    assert choose_dtype("bfloat16", CPU) == (torch.bfloat16, "asked for")


def test_bfloat16_is_refused_on_a_cpu_that_dies_of_it(record: Path) -> None:
    keep(record, 0.0)
    assert choose_dtype("auto", CPU) == (torch.float32, "bfloat16 kills a process on this CPU")
    assert choose_dtype("float32", CPU) == (torch.float32, "asked for")
    with pytest.raises(ConfigError, match="use float32"):
        choose_dtype("bfloat16", CPU)


def test_another_dtype_is_refused() -> None:
    with pytest.raises(ConfigError, match="'float16': choose one of auto, float32, bfloat16"):
        choose_dtype("float16", CPU)


@pytest.mark.parametrize(
    "content",
    [
        b'{"other machine": 2.0, "torn',
        b"\xff\xfe",
        b"[1, 2]",
        pytest.param(None, id="a wrong value"),
    ],
)
def test_a_damaged_record_is_measured_anew(record: Path, content: bytes | None) -> None:
    (key,) = json.loads(record.read_text(encoding="utf-8"))
    record.write_bytes(json.dumps({key: "fast"}).encode() if content is None else content)
    assert cpu_bfloat16_speedup() is not None
    assert json.loads(record.read_text(encoding="utf-8")).keys() == {key}
    assert [path.name for path in record.parent.iterdir()] == [record.name]
