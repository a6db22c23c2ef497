"""A run ends with a word and in time, however it is stopped and whatever breaks in it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.folder import write_json
from pmi_kernel.data import load_examples, write_examples
from pmi_kernel.jobs import Job
from pmi_kernel.jobs.owner import identity
from pmi_kernel.runs import RunSettings, launch, read_results, supervise, underway
from pmi_kernel.runs.supervise import Supervisor
from tests.runs.results import same
from tests.runs.scripts import LOADING, POISON, SCRIPTED
from tests.waiting import ends, eventually, within

TITLE = "Gilded Window of Brindlegate"


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def errors(out: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in out.glob("errors.*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


@pytest.fixture
def loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once a worker loads, which it never comes to an end with."""
    monkeypatch.setenv(LOADING, str(tmp_path / "loading"))
    return tmp_path / "loading"


# -- cancelled or interrupted before a worker is ready ---------------------------------------


@pytest.mark.parametrize("is_loading", [False, True])
@pytest.mark.parametrize("how", ["cancel", "force", "sigterm"])
def test_a_job_is_stopped_at_any_time_after_its_launch(
    whole: Path,
    tmp_path: Path,
    loading: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    is_loading: bool,
) -> None:
    job = launch(SCRIPTED, RunSettings(out=tmp_path / "run", workers=1))
    try:
        if is_loading:
            eventually(loading.exists, "no worker was started")
        if how == "sigterm":
            assert job.owner is not None
            job.owner.send_signal(signal.SIGTERM)
        else:
            job.cancel(is_forced=how == "force")
        eventually(lambda: not job.is_running, "it went on")
    finally:
        job.cancel(is_forced=True, wait_s=within(1))
    assert job.status()["state"] == ("interrupted" if how == "sigterm" else "cancelled")
    assert not (job.out / "owner.json").exists()
    assert "Traceback" not in (job.out / "job.log").read_text(encoding="utf-8")
    if is_loading and how == "cancel":
        monkeypatch.delenv(LOADING)
        assert Job.attach(job.out).resume(workers=2).wait()["state"] == "done"
        assert same(job.out, whole)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_interrupted_before_it_is_ready_ends_with_130(
    tmp_path: Path, loading: Path, capsys: pytest.CaptureFixture[str], sent: signal.Signals
) -> None:
    def interrupt() -> None:
        eventually(loading.exists, "no worker was started")
        os.kill(os.getpid(), sent)

    threading.Thread(target=interrupt).start()
    before = signal.getsignal(signal.SIGTERM)
    words = ("--engine", "scripted", "--model", SCRIPTED.model, "--out", str(tmp_path / "run"))
    words += ("--data", "sample")
    try:
        assert pmi("run", *words) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "pmi resume" in capsys.readouterr().err
    assert Job(tmp_path / "run").status()["state"] == "interrupted"


@pytest.mark.parametrize("how", ["force", "kill"])
def test_what_is_stopped_midway_is_kept_as_far_as_it_went_until_it_is_done(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    how: str,
) -> None:
    monkeypatch.setenv(POISON, "hold:</information>")  # the first answer under a memory
    out = tmp_path / "run"
    job = launch(SCRIPTED, RunSettings(out=out, workers=1, limit=4))
    try:
        eventually(lambda: [len(t.steps) for t in underway.read(out).values()] == [3], "no step")
        if how == "kill":
            assert job.owner is not None
            job.owner.kill()
            eventually(lambda: not job.is_running, "it went on")
        else:
            assert pmi("jobs", "cancel", str(out), "--force") == 0
            told = capsys.readouterr().out
            assert "cancelled, 0 of 4 episodes done and kept, 4 owed" in told
            assert f"pmi jobs resume {out}" in told
            assert job.last_words().endswith("interrupted")
            assert "Warning" not in (out / "job.log").read_text(encoding="utf-8")
    finally:
        job.cancel(is_forced=True, wait_s=within(1))
    [episode_id] = underway.read(out)
    assert pmi("show", str(out)) == 0
    assert f"{episode_id}  (not done; so far: search, compress, inject)" in capsys.readouterr().out
    assert pmi("show", str(out), episode_id) == 0
    assert "3. inject" in capsys.readouterr().out

    monkeypatch.delenv(POISON)
    assert job.resume(limit=None).wait()["state"] == "done"
    assert same(out, whole)
    assert not list(out.glob("underway*"))


def test_an_interrupted_command_says_what_is_kept_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(POISON, "hold:</information>")
    out = tmp_path / "run"

    def interrupt() -> None:
        eventually(lambda: [len(t.steps) for t in underway.read(out).values()] == [3], "no step")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    words = ("--engine", "scripted", "--model", SCRIPTED.model, "--train_mem", "--limit", "2")
    with ends(out):
        assert pmi("run", *words, "--data", "sample", "--workers", "1", "--out", str(out)) == 130
    [episode_id] = underway.read(out)
    told = capsys.readouterr()
    assert "0 episodes done, 60 pending" in told.out
    assert f"pmi resume {out}" in told.err
    assert f"pmi show {out} {episode_id}" in told.err


def test_an_interrupted_grid_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(POISON, "hold:")
    out = tmp_path / "grid"
    arm = Job(out / "closed_book")

    def interrupt() -> None:
        eventually(lambda: arm.out.exists() and bool(arm.status()["workers"]), "it never began")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    words = ("--engine", "scripted", "--model", SCRIPTED.model, "--questions", "2")
    with ends(arm.out):
        assert pmi("grid", *words, "--data", "sample", "--workers", "1", "--out", str(out)) == 130
    assert f"pmi jobs resume {out}" in capsys.readouterr().err
    assert Job(out).status()["state"] == "interrupted"
    assert not Job(out).is_running


def test_a_cancel_of_an_owner_that_is_gone_does_not_stop_the_next(
    whole: Path, tmp_path: Path
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = identity(gone.pid)
    gone.communicate()
    write_json(tmp_path / "CANCEL", {"owner": owner, "force": True})
    assert not supervise(RunSettings(out=tmp_path), SCRIPTED).is_interrupted
    assert same(tmp_path, whole)


# -- a worker that breaks --------------------------------------------------------------------


@pytest.mark.parametrize("how", ["surrogate", "interrupt", "exit"])
def test_whatever_an_episode_raises_is_recorded_and_left_pending(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv(POISON, f"{how}:{TITLE}")
    said: list[str] = []
    with ends(tmp_path):
        outcome = supervise(RunSettings(out=tmp_path, workers=1), SCRIPTED, say=said.append)
    bad = {error["episode_id"] for error in errors(tmp_path)}
    assert outcome.summary["num_errors"] == outcome.summary["num_pending"] == len(bad) >= 1
    assert all("\n" not in text and text.encode() for text in said)
    monkeypatch.delenv(POISON)
    supervise(RunSettings(out=tmp_path), SCRIPTED)
    assert same(tmp_path, whole)


def test_an_error_that_cannot_be_recorded_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POISON, "error:")
    (tmp_path / "errors.cpu0.jsonl").mkdir()
    with ends(tmp_path), pytest.raises(ConfigError, match=r"errors\.cpu0\.jsonl"):
        supervise(RunSettings(out=tmp_path, workers=1), SCRIPTED)
    assert Job(tmp_path).status()["state"] == "failed"
    assert not (tmp_path / "owner.json").exists()


def test_so_many_episodes_at_once_are_refused() -> None:
    with pytest.raises(ConfigError, match="concurrency"):
        RunSettings(concurrency=100_000)


@pytest.mark.parametrize("is_loading", [False, True])
def test_a_worker_that_is_held_is_started_anew(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_loading: bool
) -> None:
    out, said = tmp_path / "run", list[str]()

    def hold(*_: object) -> None:
        if not said and not held:
            (worker,) = (p for p in psutil.Process().children() if "spawn" in str(p.cmdline()))
            worker.suspend()
            held.append(worker.pid)

    held: list[int] = []
    if is_loading:
        monkeypatch.setenv(LOADING, str(tmp_path / "loading"))

        def hold_loading() -> None:
            eventually((tmp_path / "loading").exists, "no worker was started")
            hold()

        threading.Thread(target=hold_loading).start()
    with ends(out):
        Supervisor(
            RunSettings(out=out, workers=1),
            SCRIPTED,
            on_result=(lambda _: None) if is_loading else hold,
            say=said.append,
            silence_s=3.0,
        ).run()
    assert any("no sign of life" in text for text in said)
    assert same(out, whole)


# -- the disk, the data, the locale ----------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        words = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
        mounted = subprocess.run(words, capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_said_in_one_line_and_nobody_seems_to_run(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = small_disk / "run"
    words = ("--engine", "scripted", "--train_mem", "--probe", "--out", str(out))
    assert pmi("run", "--data", "sample", "--workers", "1", *words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pmi:")]
    assert len(lines) == 1
    assert "No space left" in lines[0]
    assert not (out / "owner.json").exists()
    status = Job(out).status()
    assert status["state"] == "failed"
    assert "No space left" in status["error"]


@pytest.mark.parametrize("when", ["before a worker is ready", "before a worker is replaced"])
def test_a_data_file_that_is_replaced_ends_the_run_by_name(tmp_path: Path, when: str) -> None:
    data, out = tmp_path / "data.json", tmp_path / "run"
    examples = load_examples("sample")
    write_examples(examples, data)

    def exchange(*_: object) -> None:
        write_examples(examples[::-1], data)

    def exchange_and_kill(*_: object) -> None:
        exchange()
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if "spawn" in str(child.cmdline()):
                    child.kill()

    hooks = (
        {"on_start": exchange}
        if when == "before a worker is ready"
        else {"on_result": exchange_and_kill}
    )
    settings = RunSettings(out=out, workers=1, data=str(data))
    with ends(out), pytest.raises(DataError, match=r"data\.json was replaced.*sha256"):
        supervise(settings, SCRIPTED, **hooks)


def test_a_run_needs_no_locale(tmp_path: Path, root: Path) -> None:
    data, out = tmp_path / "data.json", tmp_path / "run"
    asked = [
        replace(example, task=replace(example.task, question=f"O\u00f9 {number}?"))
        for number, example in enumerate(load_examples("sample")[:4])
    ]
    write_examples(asked, data)
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment |= {"PYTHONPATH": str(root), POISON: "surrogate: 2?"}
    words = ["--engine", "scripted", "--model", SCRIPTED.model, "--train_mem", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "pmi_kernel.cli", "run", *words, "--data", data, "--out", out],
        capture_output=True,
        env={**os.environ, **environment},
        cwd=root,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert (done.returncode, len(errors(out))) == (1, 2)
    assert "half a \\ud83d character" in errors(out)[0]["error"]
    assert len(read_results(out)) == 3


@pytest.mark.parametrize("verb", ["run", "grid"])
def test_a_path_that_cannot_be_a_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300), "/proc/x"):
        words = ("--data", "sample", "--engine", "scripted", "--out", str(out))
        assert pmi(verb, *words) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "pmi:" in line]
        assert f"{out} cannot be used" in line
    for words in (("--out", ""), ("--out=",)):
        assert pmi(verb, "--engine", "scripted", *words) == 2
        assert "--out needs the name" in capsys.readouterr().err
