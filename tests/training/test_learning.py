"""A system's training as a job: on the command line, in the background, found again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.settings import Settings
from pmi_kernel.core.task import Example
from pmi_kernel.data import write_examples
from pmi_kernel.jobs import Job, find_jobs
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.systems.learning import (
    SHARED,
    launch_training,
    learner_config_class,
    train,
    trained_systems,
)
from pmi_kernel.training import TrainConfig, read_checkpoint
from pmi_kernel.training.log import read_log
from tests.runs.scripts import SCRIPTED
from tests.training.regression import CONFIG
from tests.waiting import eventually, within

pytestmark = pytest.mark.usefixtures("added")


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def flags(out: Path, *more: str) -> tuple[str, ...]:
    words = "--steps 8 --batch 6 --lr 0.05 --eval_every 4 --best_by error --best_is lowest"
    return ("--out", str(out), *words.split(), "--device", "cpu", *more)


def config(**settings: object) -> Settings:
    return learner_config_class("regression")(**settings)


# -- the command line ---------------------------------------------------------------------------


def test_a_system_is_trained_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert pmi("train", "regression", *flags(out, "--width", "9", "--seed", "5")) == 0
    shown = capsys.readouterr()
    assert "the best checkpoint" in shown.out
    assert "8/8" in shown.err
    assert "error=" in shown.err
    record = json.loads((out / "config.json").read_text())
    assert (record["config"]["seed"], record["learner"]["seed"]) == (5, 5)
    assert record["learner"]["width"] == 9
    assert pmi("jobs", "list", str(tmp_path)) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["train", "done", "8/8"] in [row[1:4] for row in rows]


def test_its_options_are_the_trainings_and_the_learners(capsys: pytest.CaptureFixture[str]) -> None:
    assert pmi("train", "regression", "--help") == 0
    shown = capsys.readouterr().out
    for flag in ("--width INT", "--warmup FLOAT", "--eval_data DATA", "--gpu_ids", "--out FOLDER"):
        assert flag in shown
    assert shown.count("--seed INT") == 1
    assert pmi("train", "--help") == 0
    assert "systems: " in capsys.readouterr().out


def test_what_cannot_be_trained_is_answered_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, problem in (
        (("lexical", "--out", "x"), "no system 'lexical' that is trained"),
        (("magic", "--out", "x"), "no system 'magic' that is trained"),
        (("regression", *flags(tmp_path), "--warmup", "-1"), "warmup"),
        (("regression", *flags(tmp_path), "--gpu_ids", "97", "98"), "there is no CUDA device 97"),
    ):
        assert pmi("train", *words) == 2
        assert problem in capsys.readouterr().err


def test_a_checkpoint_is_checked_and_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pmi("train", "regression", *flags(tmp_path / "out")) == 0
    assert pmi("checkpoint", str(tmp_path / "out"), "--export", str(tmp_path / "public")) == 0
    assert read_checkpoint(tmp_path / "public", system="regression").step in (0, 4, 8)
    (tmp_path / "public" / "model.json").write_text("{}")
    capsys.readouterr()
    assert pmi("checkpoint", str(tmp_path / "public")) == 2
    assert "model.json was altered" in capsys.readouterr().err


def test_ctrl_c_and_the_same_command_go_on(tmp_path: Path, root: Path) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "pmi_kernel.cli", "train", "regression"]
    words += flags(out, "--slow_s", "0.1")
    process = subprocess.Popen(words, cwd=root, stderr=subprocess.PIPE, text=True)
    eventually(lambda: len(read_log(out / "train_log.jsonl")) > 1, "no step was taken", 20)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=within(5))
    assert process.returncode == 130
    assert f"`pmi jobs resume {out}`" in shown
    assert Job.attach(out).status()["state"] == "interrupted"
    done = len(read_log(out / "train_log.jsonl"))
    assert (out / f"step-{done:08}").is_dir()
    assert subprocess.run(words, cwd=root, check=False, capture_output=True).returncode == 0
    assert [row["step"] for row in read_log(out / "train_log.jsonl")] == list(range(1, 9))


def test_no_learner_has_a_flag_of_the_trainings_but_those_they_share() -> None:
    for system in trained_systems():
        fields = learner_config_class(system).model_fields.keys()
        assert fields & TrainConfig.model_fields.keys() <= set(SHARED), system


# -- in the background --------------------------------------------------------------------------


def test_a_background_training_is_cancelled_and_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = launch_training("regression", config(slow_s=0.05), CONFIG, out)
    try:
        with pytest.raises(ConfigError, match="running already"):
            launch_training("regression", config(), CONFIG, out)
        eventually(lambda: job.status().get("done_now", 0) > 1, "no step was taken", 20)
        assert Job.attach(out).verb == "train"
        job.cancel(wait_s=within(3))
    finally:
        job.cancel(is_forced=True, wait_s=within(1))
    status = job.status()
    assert status["state"] == "cancelled"
    assert (out / f"step-{status['done_now']:08}").is_dir()
    owed = status["owed"]
    assert owed > 0
    with pytest.raises(ConfigError, match="batch: 6 there, 12 here"):
        job.resume(batch=12)
    assert Job.attach(out).resume(patience=50).wait()["state"] == "done"
    assert job.status()["done_before"] == 40 - owed
    assert [row["step"] for row in read_log(out / "train_log.jsonl")] == list(range(1, 41))
    assert [one.out for one in find_jobs(tmp_path)] == [out]


def test_what_fails_in_the_background_is_told(tmp_path: Path) -> None:
    job = launch_training("regression", config(), CONFIG.but(best_by="em"), tmp_path / "out")
    status = job.wait()
    assert status["state"] == "failed"
    assert "an evaluation of regression measures error" in status["error"]


def test_a_killed_one_is_lost_and_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = launch_training("regression", config(slow_s=0.05), CONFIG.but(steps=12), out)
    eventually(lambda: len(read_log(out / "train_log.jsonl")) > 7, "no step was taken", 20)
    owner = job.owner
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    eventually(lambda: not job.is_running, "it was not killed")
    assert job.status()["state"] == "lost"
    assert job.resume().wait()["state"] == "done"
    assert [row["step"] for row in read_log(out / "train_log.jsonl")] == list(range(1, 13))


def test_a_run_and_a_training_do_not_share_a_folder(tmp_path: Path) -> None:
    run(RunSettings(out=tmp_path / "run", limit=1), SCRIPTED)
    assert Job(tmp_path / "run").verb == "run"
    for begin in (launch_training, train):
        with pytest.raises(ConfigError, match="holds a run; name another folder for this train"):
            begin("regression", config(), CONFIG, tmp_path / "run")
    train("regression", config(), CONFIG.but(steps=1), tmp_path / "training")
    assert Job(tmp_path / "training").verb == "train"
    (tmp_path / "training" / "request.json").unlink()
    assert Job(tmp_path / "training").verb == "train"
    assert Job(tmp_path / "training").resume(steps=1).wait()["state"] == "done"


# -- what is learned and what is measured -------------------------------------------------------


def test_what_is_measured_is_not_learned(tmp_path: Path, sample: list[Example]) -> None:
    train_file, dev_file = tmp_path / "train.json", tmp_path / "dev.json"
    write_examples(sample[:6], train_file)
    write_examples(sample[4:10], dev_file)
    both = config(data=str(train_file), eval_data=str(dev_file))
    with pytest.raises(DataError, match=rf"train\.json.*share .*{sample[4].task.id}"):
        train("regression", both, CONFIG, tmp_path / "out")
    write_examples(sample[6:10], dev_file)
    train("regression", both, CONFIG.but(steps=1), tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "config.json").read_text())["learner"]
    assert kept["data"] == str(train_file)
