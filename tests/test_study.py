"""The recipe study, on the engine without a model."""

import json
import re
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.records import read_records
from pmi_kernel.types import StepKind, Trace


def study(out: Path, *words: str) -> int:
    settings = ["--engine", "scripted", "--questions", "3", "--workers", "1", "--max_steps", "2"]
    with pytest.raises(SystemExit) as end:
        main(["study", "recipes", "--out", str(out), *settings, *words])
    return int(end.value.code or 0)


def test_a_study_is_a_run_for_each_cell_a_table_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--recipes", "ntp", "qa", "--steps", "2", "4", "--ranks", "4"]
    assert study(tmp_path, *words) == 0
    table = capsys.readouterr().out
    names = [f"{recipe}-{steps}-steps-rank-4" for recipe in ("ntp", "qa") for steps in (2, 4)]
    for name in names:
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert config["config"]["evidence"] == "weights"
        traces = list(read_records(Trace, tmp_path / name / "episode_trace.jsonl"))
        assert len(traces) == 3
        assert all(probe.control is not None for trace in traces for probe in trace.probes)
        steps = [s for trace in traces for s in trace.steps if s.kind is StepKind.INJECT]
        assert {int(s.measures["train_steps"]) for s in steps} == {int(name.split("-")[1])}
    # The engine without a model raises every word by half a nat, whatever is injected.
    rises = re.findall(r"(\+[0-9.]+) \[\+", table)
    assert rises
    assert max(map(float, rises)) > 0

    report = (tmp_path / "report.html").read_text()
    assert "pmi study recipes --out" in report
    assert report.count('class="plotly-graph-div"') == 2
    assert "default-src 'none'" in report
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?:", report)


def test_a_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    words = ["--recipes", "ntp", "--steps", "2"]
    assert study(tmp_path, *words) == 0
    results = tmp_path / "ntp-2-steps-rank-8" / "eval_results.jsonl"
    before = results.stat().st_mtime_ns, results.read_text()
    assert study(tmp_path, *words, "paraphrase") != 0  # not a number of steps
    assert study(tmp_path, "--recipes", "ntp", "paraphrase", "--steps", "2") == 0
    assert results.read_text() == before[1]
    assert (tmp_path / "paraphrase-2-steps-rank-8" / "eval_results.jsonl").is_file()


def test_only_a_study_that_there_is_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["study", "everything"])
    assert end.value.code == 2
    assert "pmi study recipes" in capsys.readouterr().err
