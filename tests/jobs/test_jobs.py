"""Whatever is done in the background is one kind of thing: listed, cancelled, gone on with."""

import json
import shutil
import socket
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import write_json
from pmi_kernel.jobs import Job, find_jobs
from pmi_kernel.runs import RunSettings, launch, run
from pmi_kernel.studies.accumulation import AccumulationSettings, read_accumulation
from pmi_kernel.studies.background import launch_study
from pmi_kernel.studies.grid import GridSettings, summarize_grid
from pmi_kernel.studies.grid_job import launch_grid
from pmi_kernel.studies.recipes import StudySettings, read_study
from pmi_kernel.systems.pmi.config import PmiConfig
from tests.runs.results import same
from tests.runs.scripts import POISON, SCRIPTED, SLOW
from tests.waiting import eventually, within
from widgets import CompareView, Home

WORLD = "world:hops=1,n=4"


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def study(out: Path) -> StudySettings:
    return StudySettings(
        data=(WORLD,), out=out, questions=4, recipes=("ntp", "qa"), steps=(2,), workers=1
    )


def test_runs_and_studies_are_listed_by_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(RunSettings(out=tmp_path / "a-run", limit=2), SCRIPTED)
    pairs = AccumulationSettings(data=WORLD, out=tmp_path / "b-study", pairs=1)
    status = launch_study(pairs, SCRIPTED).wait()
    assert (status["state"], status["unit"], status["done_now"]) == ("done", "pair", 2)
    assert read_accumulation(pairs.out).pairs.keys() == {"stack", "continue"}
    assert pmi("jobs", "list", str(tmp_path)) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["job", "kind", "state"]
    assert [row.split()[1:4] for row in rows] == [["run", "done", "2/2"], ["study", "done", "2/2"]]
    assert pmi("jobs", "watch", str(pairs.out)) == 0


def test_a_cancelled_study_stops_its_cell_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SLOW, "0.1")
    settings = study(tmp_path / "study")
    job = launch_study(settings, SCRIPTED)
    try:
        with pytest.raises(ConfigError, match="running already"):
            launch_study(settings, SCRIPTED)
        eventually(lambda: bool(job.status().get("part")), "no cell was begun")
        cell = Job(Path(job.status()["part"]))
        eventually(lambda: cell.status()["state"] == "running", "the cell never ran")
        job.cancel(wait_s=within(3))
    finally:
        job.cancel(is_forced=True, wait_s=within(1))
    assert job.status()["state"] == cell.status()["state"] == "cancelled"
    assert job.status()["owed"] >= 1
    monkeypatch.delenv(SLOW)
    assert pmi("jobs", "resume", str(job.out)) == 0
    assert Job.attach(job.out).wait()["state"] == "done"
    assert len(read_study(job.out).cells) == 2
    assert "interrupted" in (job.out / "job.log").read_text()


def test_a_grid_is_a_job_that_is_listed_cancelled_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(POISON, "hold:</information>")  # in context, the second arm
    settings = GridSettings(out=tmp_path / "grid", questions=3, workers=1)
    job = launch_grid(settings, SCRIPTED)
    second = str(settings.out.resolve() / "in_context")
    try:
        eventually(lambda: job.status().get("part") == second, "it never came to the second arm")
        with pytest.raises(ConfigError, match="running already"):
            launch_grid(settings, SCRIPTED)
    finally:
        job.cancel(is_forced=True, wait_s=within(1))
    assert pmi("jobs", "list", str(tmp_path)) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "grid  " in line)
    assert row.split()[1:4] == ["grid", "cancelled", "1/5"]
    monkeypatch.delenv(POISON)
    assert pmi("jobs", "resume", str(job.out)) == 0
    status = job.wait()
    assert (status["state"], status["done_now"], status["owed"]) == ("done", 5, 0)
    assert summarize_grid(job.out).comparison.runs[1].name == "in_context"
    (view,) = Home(tmp_path).open_job(job.out)
    assert isinstance(view, CompareView)


def test_a_grid_leaves_the_folder_of_another_job_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(RunSettings(out=tmp_path, limit=1), SCRIPTED)
    before = (tmp_path / "request.json").read_bytes()
    assert pmi("grid", "--data", "sample", "--engine", "scripted", "--out", str(tmp_path)) == 2
    assert "holds a run; name another folder" in capsys.readouterr().err
    assert (tmp_path / "request.json").read_bytes() == before


def test_what_fails_in_the_background_is_told_by_its_status(tmp_path: Path) -> None:
    config = PmiConfig(model="/no/such/model", max_steps=2)
    job = launch_study(study(tmp_path / "study"), config)
    status = job.wait()
    assert status["state"] == "failed"
    assert "/no/such/model" in status["error"]
    assert "Traceback" not in (job.out / "job.log").read_text()


def test_a_folder_holds_one_kind_of_job(tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path, limit=1), SCRIPTED)
    with pytest.raises(ConfigError, match="holds a run; name another folder for this study"):
        launch_study(study(tmp_path), SCRIPTED)
    assert json.loads((tmp_path / "request.json").read_text())["system"] == "pmi"


def test_a_study_of_before_is_found_and_gone_on_with(tmp_path: Path, root: Path) -> None:
    out = Path(shutil.copytree(root / "runs" / "example_study", tmp_path / "study"))
    assert [(job.out, job.verb) for job in find_jobs(tmp_path)][:1] == [(out, "study")]
    status = Job.attach(out).status()
    assert (status["state"], status["unit"], status["done_before"]) == ("done", "cell", 5)
    before = read_study(out)
    assert Job.attach(out).resume().wait()["state"] == "done"
    assert read_study(out).cells == before.cells


def test_a_job_of_another_machine_is_as_it_was_last_told(tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path, limit=1), SCRIPTED)
    status = json.loads((tmp_path / "status.json").read_text())
    write_json(tmp_path / "status.json", {**status, "state": "running"})
    assert Job(tmp_path).status()["state"] == "lost"
    owner = {"pid": 1, "started": 1.0, "host": f"not-{socket.gethostname()}"}
    write_json(tmp_path / "owner.json", owner)
    assert Job(tmp_path).status()["state"] == "running"
    Job(tmp_path).cancel()
    assert json.loads((tmp_path / "CANCEL").read_text())["owner"] == owner


def test_a_request_of_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    write_json(tmp_path / "request.json", {"verb": "dream", "config": {}, "settings": {}})
    with pytest.raises(ConfigError, match=r"request\.json: no job is a 'dream' \(there are run, "):
        Job.attach(tmp_path).resume()


def test_a_run_in_this_process_is_a_job_as_well(whole: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def look(_: object) -> None:
        if not seen:
            seen.append(Job(tmp_path).status()["state"])
            Job(tmp_path).cancel()

    assert run(RunSettings(out=tmp_path), SCRIPTED, on_result=look).is_interrupted
    assert seen == ["running"]
    assert Job(tmp_path).status()["state"] == "cancelled"
    assert launch(SCRIPTED, RunSettings(out=tmp_path)).wait()["state"] == "done"
    assert same(tmp_path, whole)


def test_what_was_done_tells_where_no_owner_did(tmp_path: Path, root: Path) -> None:
    out = Path(shutil.copytree(root / "runs" / "example", tmp_path / "example"))
    status = Job.attach(out).status()
    assert (status["state"], status["done_before"], status["owed"]) == ("stopped", 16, 44)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    (out / "summary.json").write_text(json.dumps({**summary, "num_pending": 0}), encoding="utf-8")
    assert Job.attach(out).status()["state"] == "done"
    (out / "summary.json").unlink()
    assert Job.attach(out).status()["state"] == "unknown"


def test_all_places_count_what_was_asked_for(tmp_path: Path) -> None:
    """Four of the sample's sixty questions, then three more."""
    for limit, done in ((4, 4), (3, 7)):
        run(RunSettings(out=tmp_path, limit=limit), SCRIPTED)
        status = Job(tmp_path).status()
        counts = (status["total"], status["done_before"] + status["done_now"], status["owed"])
        assert counts == (done, done, 0)
        assert not any(worker["is_ready"] for worker in status["workers"].values())
