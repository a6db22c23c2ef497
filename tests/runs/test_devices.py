"""Which workers get which GPU; `nvidia-smi` is a script that prints what the real one does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pmi_kernel.runs.devices import slots

Prints = Callable[[str], object]


@pytest.fixture
def prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prints:
    """Sets what `nvidia-smi --list-gpus` prints."""
    script, text = tmp_path / "nvidia-smi", tmp_path / "listing"
    script.write_text(f'#!/bin/sh\nwhile read -r line; do echo "$line"; done < {text}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda words: text.write_text(words, encoding="utf-8")


def test_every_gpu_has_a_worker_and_more_workers_share_them(
    prints: Prints,
) -> None:
    prints("GPU 0: H100 (UUID: a)\nMIG 1g.10gb Device 0: (UUID: b)\nGPU 1: H100\n")
    assert [slot.name for slot in slots(None, "auto")] == ["gpu0", "gpu1"]
    names = [(s.name, s.environment["CUDA_VISIBLE_DEVICES"]) for s in slots(3, "cuda")]
    assert names == [("gpu0", "0"), ("gpu1", "1"), ("gpu0-1", "0")]


def test_a_driver_that_does_not_answer_is_no_gpu(prints: Prints) -> None:
    prints("NVIDIA-SMI has failed because it couldn't communicate with the driver.\n")
    assert [slot.name for slot in slots(None, "auto")] == ["cpu0"]


def test_a_gpu_that_is_named_is_for_all_workers_and_seen_by_its_number(
    prints: Prints,
) -> None:
    prints("GPU 0: H100\nGPU 1: H100\n")
    assert [(s.name, s.environment) for s in slots(2, "cuda:1")] == [("gpu1", {}), ("gpu1-1", {})]
    assert [slot.name for slot in slots(None, "cpu")] == ["cpu0"]
