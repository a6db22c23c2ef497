"""Workers under a supervisor: whatever is killed, nothing is lost and nothing is there twice."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.records import read_records
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import StepKind, Trace
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.jobs import Job, find_jobs
from pmi_kernel.runs import RunSettings, launch, supervise
from pmi_kernel.runs.request import request_of
from pmi_kernel.runs.worker import Worker
from pmi_kernel.studies.bench.batch import kill_at_random
from pmi_kernel.systems import open_system
from tests.runs.results import same
from tests.runs.scripts import CHILDREN, POISON, SCRIPTED, SLOW
from tests.waiting import eventually, within


@pytest.mark.parametrize(("workers", "concurrency"), [(1, 1), (2, 1), (3, 2), (1, 8)])
def test_the_result_does_not_depend_on_the_number_of_workers(
    whole: Path, tmp_path: Path, workers: int, concurrency: int
) -> None:
    settings = RunSettings(out=tmp_path, workers=workers, concurrency=concurrency)
    outcome = supervise(settings, SCRIPTED)
    assert outcome.num_run == 60
    assert same(tmp_path, whole)
    assert len(list(tmp_path.glob("eval_results.cpu*.jsonl"))) == workers
    parts = [
        json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("summary.cpu*.json")
    ]
    assert sum(part["num_episodes"] for part in parts) == 60


def test_a_run_is_gone_on_with_by_another_number_of_workers(whole: Path, tmp_path: Path) -> None:
    supervise(RunSettings(out=tmp_path, workers=3, limit=20), SCRIPTED)
    supervise(RunSettings(out=tmp_path, workers=1, limit=20), SCRIPTED)
    supervise(RunSettings(out=tmp_path, workers=2), SCRIPTED)
    assert same(tmp_path, whole)


def test_kills_at_random_points_lose_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SLOW, "0.02")
    rng, out = random.Random(7), tmp_path / "run"
    killed: dict[str | None, int] = {"parent": 0, "worker": 0, None: 0}
    settings = RunSettings(out=out, workers=2)
    job = launch(SCRIPTED, settings)
    while killed["parent"] + killed["worker"] < 20:
        time.sleep(rng.uniform(0.2, 0.9))
        killed[kill_at_random(job, rng)] += 1
        if not job.is_running:
            if job.status()["state"] == "done":
                for path in out.glob("*.jsonl"):
                    path.unlink()  # it was faster than the killer: again from the start
            job = launch(SCRIPTED, settings)
    monkeypatch.delenv(SLOW)
    job.cancel(is_forced=True, wait_s=within(1))
    supervise(settings, SCRIPTED)
    assert killed["parent"] >= 3
    assert killed["worker"] >= 3
    assert same(out, whole)


def test_a_worker_that_dies_is_started_anew_and_the_run_goes_on(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SLOW, "0.01")
    said: list[str] = []
    is_killed = False

    def kill(_: EvalResult) -> None:
        nonlocal is_killed
        if not is_killed:
            is_killed = True
            children = psutil.Process().children()
            next(p for p in children if "spawn_main" in " ".join(p.cmdline())).kill()

    supervise(RunSettings(out=tmp_path, workers=2), SCRIPTED, on_result=kill, say=said.append)
    assert any("died" in text for text in said)
    assert same(tmp_path, whole)


def test_a_full_disk_ends_the_run_and_loses_nothing(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    # A limit on the size of files is a quota: writing beyond it fails as on a full disk.
    code = (
        "import resource; from pathlib import Path;"
        "from pmi_kernel.runs import RunSettings, supervise;"
        "from tests.runs.scripts import SCRIPTED\n"
        "if __name__ == '__main__':\n"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f" supervise(RunSettings(out=Path({str(out)!r}), workers=1), SCRIPTED)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert ended.returncode != 0
    assert re.search("No space left|File too large", ended.stderr)
    num_done = len(list(read_records(EvalResult, out / "eval_results.cpu0.jsonl")))
    assert 0 < num_done < 60
    supervise(RunSettings(out=out, workers=2), SCRIPTED)
    assert same(out, whole)


def test_a_poisoned_example_is_retried_recorded_and_left_pending(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POISON, "error:Gilded Window of Brindlegate")
    outcome = supervise(RunSettings(out=tmp_path, workers=2), SCRIPTED)
    errors = [
        json.loads(line)
        for path in tmp_path.glob("errors.*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    bad = {error["episode_id"] for error in errors}
    assert len(errors) == 2 * len(bad) >= 2
    assert outcome.summary["num_errors"] == outcome.summary["num_pending"] == len(bad)
    monkeypatch.delenv(POISON)
    supervise(RunSettings(out=tmp_path, workers=2), SCRIPTED)
    assert same(tmp_path, whole)


@pytest.mark.parametrize("how", ["memory", "kill"])
def test_a_worker_out_of_memory_does_not_take_the_run_with_it(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv(POISON, f"{how}:Gilded Window of Brindlegate")
    outcome = supervise(RunSettings(out=tmp_path, workers=1), SCRIPTED)
    assert 1 <= outcome.summary["num_pending"] <= 3
    monkeypatch.delenv(POISON)
    supervise(RunSettings(out=tmp_path), SCRIPTED)
    assert same(tmp_path, whole)


@pytest.mark.parametrize("poison", ["", "kill:Gilded Window of Brindlegate"])
def test_what_an_engine_started_ends_with_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: str
) -> None:
    monkeypatch.setenv(CHILDREN, str(tmp_path / "children"))
    monkeypatch.setenv(POISON, poison)
    supervise(RunSettings(out=tmp_path / "run", workers=1), SCRIPTED)
    children = [int(pid) for pid in (tmp_path / "children").read_text(encoding="utf-8").split()]
    assert len(children) >= (2 if poison else 1)

    def is_alive(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    eventually(lambda: not any(map(is_alive, children)), "a child outlived its worker")


def test_an_engine_that_always_fails_ends_the_run_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POISON, "error:")
    with pytest.raises(EngineError, match="three times in a row"):
        supervise(RunSettings(out=tmp_path, workers=1), SCRIPTED)
    status = json.loads((tmp_path / "status.json").read_text(encoding="utf-8"))
    assert status["state"] == "failed"
    assert "poisoned" in status["error"]


def test_a_model_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    config = SCRIPTED.model_copy(update={"engine": "hf", "model": "/no/such/model"})
    with pytest.raises(ConfigError, match="/no/such/model"):
        supervise(RunSettings(out=tmp_path, limit=1), config)


def test_several_episodes_cannot_share_an_engine_that_holds_one_memory(
    tmp_path: Path, sample: list[Example]
) -> None:
    settings = RunSettings(out=tmp_path, concurrency=2)
    system = open_system(SCRIPTED, ScriptedEngine(is_exclusive=True))
    with pytest.raises(ConfigError, match="1 at most, and is 2"):
        Worker("cpu0", settings, system, sample)


def test_the_wrong_passage_is_another_questions_snippet(tmp_path: Path) -> None:
    supervise(RunSettings(out=tmp_path, wrong_passage=True, limit=3), SCRIPTED)
    for trace in read_records(Trace, tmp_path / "episode_trace.jsonl"):
        compress, inject = (
            next(step for step in trace.steps if step.kind == kind)
            for kind in (StepKind.COMPRESS, StepKind.INJECT)
        )
        assert inject.text
        assert inject.text != compress.text
    with pytest.raises(ConfigError, match="wrong_passage"):
        supervise(RunSettings(out=tmp_path), SCRIPTED)


# -- jobs -------------------------------------------------------------------------------------


def test_a_job_is_found_again_by_its_folder_alone(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    launch(SCRIPTED, RunSettings(out=out, workers=2))
    status = Job.attach(out).wait()
    assert status["state"] == "done"
    assert status["done_now"] == 60
    assert same(out, whole)
    assert [job.out for job in find_jobs(tmp_path)] == [out]
    with pytest.raises(ConfigError, match="there is no such folder"):
        Job.attach(tmp_path / "nothing")


def test_a_job_has_one_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SLOW, "0.05")
    job = launch(SCRIPTED, RunSettings(out=tmp_path, workers=1))
    try:
        with pytest.raises(ConfigError, match="running already"):
            launch(SCRIPTED, RunSettings(out=tmp_path))
        eventually(lambda: job.status()["state"] == "running", "it never ran")
        with pytest.raises(ConfigError, match="another process is running this job"):
            supervise(RunSettings(out=tmp_path), SCRIPTED)
    finally:
        job.cancel(is_forced=True, wait_s=within(1))
    assert not job.is_running


def test_a_cancelled_job_finishes_what_runs_and_is_gone_on_with(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SLOW, "0.02")
    job = launch(SCRIPTED, RunSettings(out=tmp_path, workers=2))
    eventually(lambda: job.status().get("done_now", 0) > 2, "nothing was done")
    job.cancel(wait_s=within(2))
    assert job.status()["state"] == "cancelled"
    done = len(list(read_records(EvalResult, tmp_path / "eval_results.jsonl")))
    assert 2 < done < 60
    monkeypatch.delenv(SLOW)
    again = job.resume(workers=1)
    assert again.wait()["state"] == "done"
    assert same(tmp_path, whole)


def test_a_job_whose_owner_was_killed_is_lost_and_taken_over_from(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SLOW, "0.02")
    job = launch(SCRIPTED, RunSettings(out=tmp_path, workers=2))
    eventually(lambda: job.status().get("done_now", 0) > 2, "nothing was done")
    owner = job.owner
    assert owner is not None
    workers = owner.children(recursive=True)
    owner.kill()
    eventually(lambda: not job.is_running, "it lived on")
    assert job.status()["state"] == "lost"
    eventually(lambda: not any(p.is_running() for p in workers), "orphans were left")
    monkeypatch.delenv(SLOW)
    said: list[str] = []
    supervise(RunSettings(out=tmp_path), SCRIPTED, say=said.append)
    assert any("taking over from pid" in text for text in said)
    assert same(tmp_path, whole)


def test_an_interrupt_does_not_reach_a_background_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SLOW, "0.01")
    job = launch(SCRIPTED, RunSettings(out=tmp_path, workers=1))
    owner = job.owner
    assert owner is not None
    assert os.getpgid(owner.pid) != os.getpgid(0)
    assert job.wait()["state"] == "done"


def test_another_configuration_does_not_replace_what_was_asked_for(tmp_path: Path) -> None:
    launch(SCRIPTED, RunSettings(out=tmp_path, limit=1)).wait()
    with pytest.raises(ConfigError, match="mem_steps: 2 there, 9 here"):
        launch(SCRIPTED.model_copy(update={"mem_steps": 9}), RunSettings(out=tmp_path))
    assert request_of(tmp_path)[0].model_dump()["mem_steps"] == 2


def test_sigterm_ends_a_job_cleanly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SLOW, "0.05")
    job = launch(SCRIPTED, RunSettings(out=tmp_path, workers=1))
    eventually(lambda: job.status().get("done_now", 0) > 1, "nothing was done")
    owner = job.owner
    assert owner is not None
    owner.send_signal(signal.SIGTERM)
    assert job.wait()["state"] == "interrupted"
    assert (tmp_path / "eval_results.jsonl").exists()
