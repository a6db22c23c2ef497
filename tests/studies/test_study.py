"""The studies, on the engine without a model."""

import json
import re
import shlex
import time
from pathlib import Path

import pytest

from pmi_kernel import PmiConfig
from pmi_kernel.cli import main
from pmi_kernel.core.errors import DataError, EngineError
from pmi_kernel.core.records import read_records
from pmi_kernel.core.trace import StepKind, Trace
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.reports.cards import read_cards
from pmi_kernel.studies.accumulation import AccumulationSettings, study_accumulation
from pmi_kernel.studies.background import launch_study
from pmi_kernel.studies.recipes import StudySettings, read_study

WORLD = "world:hops=1,n=4"
FOLDER = "world-hops=1-n=4"


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(words)
    return int(end.value.code or 0)


def study(out: Path, *words: str) -> int:
    settings = ["--engine", "scripted", "--questions", "3", "--workers", "1", "--max_steps", "2"]
    if "--data" not in words:
        settings += ["--data", WORLD]
    return pmi("study", "recipes", "--out", str(out), *settings, *words)


def test_a_study_is_a_run_for_each_cell_a_table_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    varied = ["--recipes", "ntp", "qa", "--steps", "2", "--ranks", "4", "--mem_lr", "0.001"]
    assert study(tmp_path, "--data", WORLD, "sample", *varied) == 0
    table = capsys.readouterr().out
    for source in (FOLDER, "sample"):
        for recipe in ("ntp", "qa"):
            cell = tmp_path / source / f"{recipe}-2-steps-rank-4"
            config = json.loads((cell / "config.json").read_text())["config"]
            assert (config["evidence"], config["mem_lr"]) == ("weights", 0.001)
            traces = list(read_records(Trace, cell / "episode_trace.jsonl"))
            assert len(traces) == 3
            assert all(probe.control is not None for trace in traces for probe in trace.probes)
            steps = [s for trace in traces for s in trace.steps if s.kind == StepKind.INJECT]
            assert {s.measures["train_steps"] for s in steps} == {2}
    # The engine without a model raises every word by half a nat, whatever is injected.
    rises = re.findall(r"(\+[0-9.]+) \[\+[0-9.]+, \+[0-9.]+\] n=3", table)
    assert max(map(float, rises)) > 0

    report = (tmp_path / "report.html").read_text()
    assert f"pmi study recipes --data {WORLD} sample --out" in report
    assert "pmi-workbench 0" in report
    assert report.count('class="plotly-graph-div"') == 4
    assert report.count("<caption>") == 3
    assert "default-src 'none'" in report
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?:", report)


def test_the_figures_of_a_cell_are_the_means_of_its_cards(tmp_path: Path) -> None:
    assert study(tmp_path, "--recipes", "ntp", "--steps", "2") == 0
    found = read_study(tmp_path)
    (cell,) = found.cells
    cards = read_cards(tmp_path / FOLDER / cell.name)
    assert cell.figures["gold_nats_rise"].n == len(cards) == 3
    for name in ("gold_nats_rise", "injection_s", "drift_kl_nats"):
        values = [card.figures()[name] for card in cards]
        assert cell.figures[name].mean == pytest.approx(sum(map(float, values)) / 3)
    columns, (row,) = found.table(WORLD)
    shown = dict(zip(columns, row, strict=True))
    assert shown["rephrased: answered after (%)"] == "-"  # this script writes no rephrasing
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\] n=3", shown["train (s)"])


def test_the_command_of_a_cell_repeats_it(tmp_path: Path) -> None:
    words = ["--recipes", "ntp", "qa", "--steps", "2", "3", "--snippet_tokens", "77"]
    assert study(tmp_path, *words) == 0
    cell = read_study(tmp_path).cells[-1]
    assert (cell.recipe, cell.steps) == ("qa", 3)
    command = shlex.split(cell.command)
    assert command[0] == "pmi"
    assert pmi(*command[1:]) == 0
    (again,) = read_study(tmp_path / "again").cells
    assert again.name == cell.name
    assert again.figures["gold_nats_rise"] == cell.figures["gold_nats_rise"]


def test_a_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    words = ["--recipes", "ntp", "--steps", "2"]
    assert study(tmp_path, *words) == 0
    results = tmp_path / FOLDER / "ntp-2-steps-rank-8" / "eval_results.jsonl"
    before = results.read_text()
    assert study(tmp_path, *words, "paraphrase") != 0  # not a number of steps
    assert study(tmp_path, "--recipes", "ntp", "paraphrase", "--steps", "2") == 0
    assert results.read_text() == before
    assert [cell.recipe for cell in read_study(tmp_path).cells] == ["ntp", "paraphrase"]


def test_a_study_runs_in_the_background(tmp_path: Path) -> None:
    settings = StudySettings(
        data=(WORLD,), out=tmp_path / "x", questions=2, recipes=("ntp",), steps=(2,), workers=1
    )
    job = launch_study(settings, PmiConfig(engine="scripted", max_steps=2))
    assert job.wait()["state"] == "done"
    found = read_study(settings.out)
    assert len(found.cells) == found.num_cells == 1
    assert (settings.out / "report.html").is_file()


def test_what_cannot_be_studied_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accumulation = ("study", "accumulation", "--engine", "scripted", "--out", str(tmp_path / "a"))
    for words, message in (
        (("study", "everything"), "there are recipes, accumulation"),
        (
            ("study", "recipes", "--out", str(tmp_path / "r"), "--data", "a/x.json", "b/x.json"),
            "would share a folder",
        ),
        ((*accumulation, "--data", WORLD, "--strategy", "inplace"), "cannot go on from a memory"),
        ((*accumulation, "--data", WORLD), "has 4 questions, not the 20"),
    ):
        assert pmi(*words) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.strip().splitlines()) == 1


def last_learned(prompt: Prompt, adapter: Adapter | None) -> str:
    """Answers yes under one memory, no under two: a stacked rank tells them apart."""
    if "Facts from the passages" in prompt[-1].content:
        return "two words"
    return f"<answer>{'base' if adapter is None else adapter.weights.rank}</answer>"


def test_memories_are_stacked_or_gone_on_from(tmp_path: Path) -> None:
    engine = ScriptedEngine(last_learned)
    settings = AccumulationSettings(data=WORLD, out=tmp_path, pairs=2)
    found = study_accumulation(settings, PmiConfig(mem_rank=4), engine=engine)
    assert engine.num_attached == 0
    for mode, ranks in (("stack", ("4", "8")), ("continue", ("4", "4"))):
        assert [pair.first.answers for pair in found.pairs[mode]] == [("base", *ranks)] * 2
        figures = found.figures(mode)
        # A memory raises every word by half a nat, and a second one by no more.
        assert figures["first_nats_by_first"].mean > 0
        assert figures["first_nats_by_second"].mean == 0
        assert figures["second_after_both"].n == 2
    columns, rows = found.table()
    assert len(rows) == 4
    assert len(rows[0]) == len(columns)


def test_an_accumulation_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    num_left = [20]

    def failing(prompt: Prompt, adapter: Adapter | None) -> str:
        num_left[0] -= 1
        if not num_left[0]:
            raise EngineError("out of luck")
        return last_learned(prompt, adapter)

    engine = ScriptedEngine(failing)
    settings = AccumulationSettings(data=WORLD, out=tmp_path, pairs=2)
    with pytest.raises(EngineError, match="out of luck"):
        study_accumulation(settings, PmiConfig(), engine=engine)
    assert engine.num_attached == 0
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.json")}
    assert done
    time.sleep(0.01)
    found = study_accumulation(settings, PmiConfig(), engine=engine)
    assert {mode: len(pairs) for mode, pairs in found.pairs.items()} == {"stack": 2, "continue": 2}
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())


def test_an_accumulation_study_is_a_table_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["study", "accumulation", "--engine", "scripted", "--data", WORLD, "--pairs", "2"]
    words += ["--out", str(tmp_path)]
    assert pmi(*words) == 0
    assert pmi(*words) == 0
    assert "continue" in capsys.readouterr().out
    report = (tmp_path / "report.html").read_text()
    assert report.count('class="plotly-graph-div"') == 1
    assert pmi(*words, "--mem_lr", "0.5") == 2
    assert "another mem_lr" in capsys.readouterr().err


def no_words(prompt: Prompt, adapter: Adapter | None) -> str:
    raise RuntimeError("no words left")


def test_a_study_whose_cells_all_failed_says_where_the_errors_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = ("--model", f"{__name__}:no_words", "--recipes", "ntp", "--steps", "2")
    assert study(tmp_path, *broken) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    cell = tmp_path / FOLDER / "ntp-2-steps-rank-8"
    assert error == f"pmi: {cell}: 3 of 3 questions failed; see {cell}/errors.*.jsonl"
    assert any("no words left" in path.read_text() for path in cell.glob("errors.*.jsonl"))
    with pytest.raises(DataError, match="no results yet"):
        read_cards(cell)


def test_a_study_of_pairs_that_failed_says_where_the_error_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["study", "accumulation", "--engine", "scripted", "--data", WORLD, "--pairs", "2"]
    assert pmi(*words, "--out", str(tmp_path), "--model", f"{__name__}:no_words") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pmi: stack: the pair ")
    assert f"failed: RuntimeError: no words left; see {tmp_path}/errors.stack.jsonl" in error
    assert "Traceback" in (tmp_path / "errors.stack.jsonl").read_text()
