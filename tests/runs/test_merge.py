"""What a run's files say when some of their lines are damaged, or there twice."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pmi_kernel.core.records import decode, encode
from pmi_kernel.core.result import EvalResult
from pmi_kernel.reports.summary import render_summary
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.runs.merge import done_ids, merge, read_results
from pmi_kernel.runs.progress import RunningScores
from tests.runs.results import same
from tests.runs.scripts import SCRIPTED

RESULTS, TRACES = "eval_results.cpu0.jsonl", "episode_trace.cpu0.jsonl"


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def change_line(path: Path, number: int, change: Callable[[str], str]) -> str:
    """Change one line, counted from 0, and return it as it was."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    before = lines[number]
    lines[number] = change(before)
    path.write_text("".join(lines), encoding="utf-8")
    return before


DAMAGE: dict[str, Callable[[str], str]] = {
    "torn": lambda line: line[: len(line) // 2] + "\n",
    "another schema": lambda line: line.replace('{"schema": 2,', '{"schema": 99,'),
    "cut field": lambda line: line.replace('"end_reason"', '"x"').replace('"steps"', '"x"'),
    "no text at all": lambda line: "\0\0\0\n",
    "an id that cannot be read": lambda line: line.replace('id": "', 'id": "\\x', 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [RESULTS, TRACES])
def test_a_damaged_line_of_a_worker_never_replaces_a_merged_one(
    whole: Path, out: Path, name: str, damage: str
) -> None:
    change_line(out / name, 20, DAMAGE[damage])
    merged = merge(out)
    assert len(merged.ids) == len(done_ids(out)) == 60
    assert same(out, whole)
    assert (merged.num_unreadable, merged.unreadable) == (1, f"{name}:21")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [RESULTS, TRACES])
def test_an_episode_whose_only_line_is_damaged_is_run_again(
    whole: Path, out: Path, name: str, damage: str
) -> None:
    for merged in ("eval_results.jsonl", "episode_trace.jsonl"):
        (out / merged).unlink()
    change_line(out / name, 20, DAMAGE[damage])
    assert len(done_ids(out)) == 59
    outcome = run(RunSettings(out=out), SCRIPTED)
    assert outcome.num_run == 1
    assert same(out, whole)
    assert f"1 line cannot be read (the first: {name}:21)" in render_summary(outcome.summary, out)
    worker = json.loads((out / "summary.cpu0.json").read_text())
    assert worker["num_episodes"] == 60


def test_bytes_that_are_no_text_are_a_damaged_line(whole: Path, out: Path) -> None:
    path = out / RESULTS
    path.write_bytes(path.read_bytes().replace(b'"prediction": "', b'"prediction": "\xff', 1))
    assert merge(out).num_unreadable == 1
    assert same(out, whole)
    assert RunningScores(out).update() == 59


def test_a_merge_that_fails_leaves_the_merged_files_as_they_were(
    whole: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out / "episode_trace.jsonl.partial").mkdir()  # it cannot be written
    change_line(out / RESULTS, 0, lambda line: line.replace('"em": 0', '"em": 1'))
    with pytest.raises(OSError, match=r"episode_trace\.jsonl"):
        merge(out)
    assert same(out, whole)


def with_f1(line: str, f1: float) -> str:
    result = decode(EvalResult, line)
    return encode(replace(result, scores={**result.scores, "f1": f1})) + "\n"


def add_worker(out: Path, number: int, change: Callable[[str], str]) -> str:
    """Let another worker have done an episode too; return its id."""
    for name in (RESULTS, TRACES):
        lines = (out / name).read_text().splitlines(keepends=True)
        line = change(lines[number]) if name == RESULTS else lines[number]
        (out / name.replace("cpu0", "cpu1")).write_text(line)
    return decode(EvalResult, (out / RESULTS).read_text().splitlines()[number]).episode_id


def test_two_results_that_differ_in_time_alone_are_one(whole: Path, out: Path) -> None:
    def slower(line: str) -> str:
        result = decode(EvalResult, line)
        costs = {k: v + 1 if k.endswith("_s") else v for k, v in result.costs.items()}
        return encode(replace(result, costs=costs)) + "\n"

    add_worker(out, 5, slower)
    merged = merge(out)
    assert (len(merged.ids), merged.conflicts) == (60, {})
    assert (out / "eval_results.jsonl").read_bytes() == (whole / "eval_results.jsonl").read_bytes()


def test_two_results_that_differ_are_named_and_the_first_file_counts(
    whole: Path, out: Path
) -> None:
    id_ = add_worker(out, 5, lambda line: with_f1(line, 0.123))
    outcome = run(RunSettings(out=out), SCRIPTED)
    places = [f"{RESULTS}:6", f"{RESULTS.replace('cpu0', 'cpu1')}:1"]
    assert json.loads((out / "summary.json").read_text())["conflicts"] == {id_: places}
    assert read_results(out)[id_].scores["f1"] != 0.123
    assert same(out, whole)
    shown = render_summary(outcome.summary, out)
    assert f"{id_!r} has results that differ: {places[0]} (kept), {places[1]}" in shown


def test_a_worker_counts_an_episode_once(out: Path) -> None:
    for name in (RESULTS, TRACES):
        path = out / name
        path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[3])
    run(RunSettings(out=out), SCRIPTED)
    assert json.loads((out / "summary.cpu0.json").read_text())["num_episodes"] == 60
