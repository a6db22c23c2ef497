"""The benchmark of one gradient step: every figure a share with its interval, or seconds."""

import json
from pathlib import Path

import pytest

from pmi_kernel.studies.bench.encoding import encoding
from pmi_kernel.studies.bench.one_step import one_step


def test_what_a_step_teaches_is_told_with_intervals(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    figures = one_step(str(trained), n=4, timed=2, attributed=2, out=out)
    assert json.loads(out.read_text()) == figures
    for name in ("dev_em_1", "dev_em_4", "dev_wrong", "new_wordings_em_1", "no_answer_closed"):
        low, share, high = (figures[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert 0 <= low <= share <= high <= 100
    assert figures["answer_first_n"] + figures["answer_after_n"] == 4
    assert figures["injection_s"] > 0
    assert figures["injection_of_several_s"] > 0
    assert "new_relations_em_1" in capsys.readouterr().out


def test_what_a_store_costs_is_measured_beside_what_it_saves(trained: Path, tmp_path: Path) -> None:
    figures = encoding(str(trained), n=4, batch=4, repeats=1, out=tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8")) == figures
    assert figures["largest_gap"] <= 1e-5
    assert figures["float32_answers_changed"] == 0
    assert figures["int8_bytes"] < figures["bfloat16_bytes"] < figures["float32_bytes"]
    for name in ("batched_over_one_by_one", "int8_look_up_over_generate"):
        assert figures[name] > 0
