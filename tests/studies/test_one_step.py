"""The benchmark of one gradient step: every figure a share with its interval, or seconds."""

import json
from pathlib import Path

import pytest

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
    assert figures["injection_s"] > 0
    assert figures["injection_of_several_s"] > 0
    assert "new_relations_em_1" in capsys.readouterr().out
