"""The files that a run directory keeps about its run: who writes them, and what damage does."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, PmiError
from pmi_kernel.core.folder import write_json
from pmi_kernel.jobs import Job
from pmi_kernel.runs import RunSettings, launch, run, supervise
from pmi_kernel.runs.request import request_of
from tests.runs.results import same
from tests.runs.scripts import POISON, SCRIPTED
from widgets import JobMonitor

FILES = ("config.json", "request.json", "owner.json", "status.json", "summary.json")


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probed run with every file that a run may leave, an owner's that is gone too."""
    out = tmp_path_factory.mktemp("ended") / "run"
    supervise(RunSettings(out=out, workers=1, probe=True), SCRIPTED)
    write_json(out / "owner.json", {"pid": 2**22 + 1, "started": 1.0, "host": "elsewhere"})
    return out


# -- damage ----------------------------------------------------------------------------------


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _mistype(path: Path) -> None:
    def mistyped(value: Any) -> Any:
        return {"x": 1} if isinstance(value, str) else "x"

    fields = json.loads(path.read_bytes())
    path.write_text(json.dumps({k: mistyped(v) for k, v in fields.items()}), encoding="utf-8")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": _cut,
    "empty": _write(b""),
    "garbage": _write(bytes(range(256))),
    "list": _write(b"[]"),
    "null": _write(b"null"),
    "deep": _write(b"[" * 100_000),
    "other": _write(b'{"pid": -1, "state": 5, "system": null, "settings": [], "workers": 3}'),
    "mistyped": _mistype,
    "folder": _make_folder,
}

READERS = {
    "config.json": ("run", "resume", "compare", "show", "card", "blame"),
    "request.json": ("resume",),
    "owner.json": ("run", "resume", "jobs watch", "jobs cancel"),
    "status.json": ("jobs watch", "jobs cancel"),
    "summary.json": (),
}
"""The verbs that cannot do without a file."""
LISTS = {"owner.json": "jobs list", "status.json": "jobs list", "summary.json": "runs"}
"""The verb that shows a broken file in the run's row."""


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_in_one_line_by_whoever_needs_it(
    ended: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path("runs")
    flags = ("--engine", "scripted", "--model", SCRIPTED.model, "--train_mem", "--mem_steps", "2")
    for verb in (*READERS[name], *filter(None, [LISTS.get(name)])):
        shutil.rmtree(root, ignore_errors=True)
        out = root / "broken"
        shutil.copytree(ended, out)
        shutil.copytree(ended, root / "whole")
        DAMAGES[damage](out / name)
        words = {
            "run": ("run", "--probe", "--out", str(out), *flags),
            "compare": ("compare", str(root / "whole"), str(out)),
            "jobs list": ("jobs", "list", str(root)),
            "runs": ("runs", str(root)),
        }.get(verb, (*verb.split(), str(out)))
        is_list = verb == LISTS.get(name)
        assert pmi(*words) == (0 if is_list else 2), verb
        shown = capsys.readouterr()
        (line,) = [line for line in shown.err.splitlines() if line.startswith("pmi:")]
        assert f"{out / name} is damaged" in line
        if is_list:
            rows = shown.out.splitlines()
            assert any("broken " in row and str(out) in row for row in rows)
            assert any(str(root / "whole") in row and row.count("broken") == 0 for row in rows)


@pytest.mark.parametrize("damage", ["cut", "null", "folder"])
def test_what_others_broke_does_not_stop_who_does_not_need_it(
    ended: Path, tmp_path: Path, damage: str
) -> None:
    out = tmp_path / "run"
    shutil.copytree(ended, out)
    DAMAGES[damage](out / "request.json")
    DAMAGES[damage](out / "status.json")
    supervise(RunSettings(out=out, probe=True), SCRIPTED)
    if damage != "folder":
        assert Job(out).status()["state"] == "done"


@pytest.mark.parametrize("name", ["owner.json", "status.json"])
def test_a_monitor_says_what_is_damaged(ended: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "run"
    shutil.copytree(ended, out)
    (out / name).write_bytes(b"[]")
    with pytest.raises(ConfigError, match=f"{name} is damaged"):
        JobMonitor(Job.attach(out))


def test_settings_that_no_version_knows_are_refused_by_file(ended: Path, tmp_path: Path) -> None:
    for part, key in (("config", "topk"), ("settings", "limit")):
        request = json.loads((ended / "request.json").read_bytes())
        request[part][key] = "many"
        write_json(tmp_path / "request.json", request)
        with pytest.raises(ConfigError, match=rf"request\.json is damaged.*{key}"):
            request_of(tmp_path)
    write_json(tmp_path / "request.json", {**request, "system": "magic"})
    with pytest.raises(ConfigError, match=r"request\.json: no system 'magic'"):
        request_of(tmp_path)


# -- who may write it ------------------------------------------------------------------------


def test_a_refused_command_changes_nothing(tmp_path: Path) -> None:
    supervise(RunSettings(out=tmp_path, workers=1, limit=1), SCRIPTED)
    before = (tmp_path / "request.json").read_bytes()
    other = SCRIPTED.model_copy(update={"topk": 1})
    for settings, config in (
        (RunSettings(out=tmp_path, probe=True), SCRIPTED),
        (RunSettings(out=tmp_path, data="world:kind=facts,hops=1,n=2,seed=1"), SCRIPTED),
        (RunSettings(out=tmp_path), other),
    ):
        with pytest.raises(ConfigError, match="another configuration"):
            supervise(settings, config)
        assert (tmp_path / "request.json").read_bytes() == before
    job = launch(SCRIPTED, RunSettings(out=tmp_path, probe=True))
    assert job.wait()["state"] == "failed"
    assert (tmp_path / "request.json").read_bytes() == before
    assert pmi("resume", str(tmp_path), "--limit", "1") == 0


def test_of_many_launches_at_one_instant_one_wins(whole: Path, tmp_path: Path) -> None:
    jobs, refused, together = list[Job](), list[str](), threading.Barrier(6)

    def try_it() -> None:
        together.wait()
        try:
            jobs.append(launch(SCRIPTED, RunSettings(out=tmp_path / "run", workers=1)))
        except ConfigError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs) == 1
    assert all("is running already" in text for text in refused)
    assert len(refused) == 5
    assert jobs[0].wait()["state"] == "done"
    assert same(tmp_path / "run", whole)
    assert not list((tmp_path / "run").glob(".*.partial"))


def test_results_without_a_record_are_not_gone_on_with(tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path, limit=2), SCRIPTED)
    (tmp_path / "config.json").unlink()
    for go_on in (run, supervise):
        with pytest.raises(ConfigError, match=r"holds results but no config\.json.*put a copy"):
            go_on(RunSettings(out=tmp_path), SCRIPTED.model_copy(update={"topk": 1}))


def test_a_run_that_was_moved_is_gone_on_with_where_it_is(whole: Path, tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path / "before", limit=2), SCRIPTED)
    (tmp_path / "before").rename(tmp_path / "now")
    assert Job(tmp_path / "now").resume(workers=1).wait()["state"] == "done"
    assert same(tmp_path / "now", whole)
    assert not (tmp_path / "before").exists()


# -- what it says ----------------------------------------------------------------------------


def test_other_versions_that_go_on_are_said_and_kept(tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path, limit=1), SCRIPTED)
    record = json.loads((tmp_path / "config.json").read_bytes())
    record["versions"]["torch"], record["git"] = "1.0", {"commit": "abc", "is_dirty": False}
    write_json(tmp_path / "config.json", record)
    said: list[str] = []
    for limit in (1, 1):  # the second is by the same program as the first
        summary = run(RunSettings(out=tmp_path, limit=limit), SCRIPTED, say=said.append).summary
    assert any("torch: 1.0 before, 2." in text for text in said)
    assert any("commit: abc before" in text for text in said)
    kept = json.loads((tmp_path / "config.json").read_bytes())
    assert kept["versions"]["torch"] == summary["versions"]["torch"] == "1.0"
    (entry,) = kept["provenance"]
    assert summary["provenance"] == [entry]
    assert entry["versions"]["torch"].startswith("2.")


def test_pending_counts_what_is_asked_for_alone(tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path / "all"), SCRIPTED)
    few = RunSettings(out=tmp_path / "few", data="world:kind=facts,hops=1,n=2,seed=1")
    assert run(few, SCRIPTED).summary["num_pending"] == 0
    for name in ("eval_results", "episode_trace"):
        shutil.copy(tmp_path / "all" / f"{name}.cpu0.jsonl", few.out / f"{name}.cpu9.jsonl")
    assert run(few, SCRIPTED).summary["num_pending"] == 0


def test_a_control_of_nothing_is_refused(tmp_path: Path) -> None:
    config = SCRIPTED.model_copy(update={"train_mem": False, "model": "none:such"})
    for go_on in (
        lambda settings: run(settings, config),
        lambda settings: supervise(settings, config),
        lambda settings: launch(config, settings),
    ):
        with pytest.raises(PmiError, match="wrong_passage is a control"):
            go_on(RunSettings(out=tmp_path, wrong_passage=True))
    assert not (tmp_path / "request.json").exists()


def test_a_grid_with_failed_episodes_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(POISON, "error:Gilded Window of Brindlegate")
    words = (
        "grid",
        "--engine",
        "scripted",
        "--model",
        SCRIPTED.model,
        "--questions",
        "60",
        "--yes",
    )
    assert pmi(*words, "--workers", "1", "--out", str(tmp_path)) == 1
    assert "failed and left pending" in capsys.readouterr().err
    monkeypatch.delenv(POISON)
    assert pmi(*words, "--workers", "1", "--out", str(tmp_path)) == 0
