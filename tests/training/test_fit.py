"""A training, however often it was killed, is one training."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.jobs import Job
from pmi_kernel.jobs.owner import cancel, owned
from pmi_kernel.training import fit, read_checkpoint
from pmi_kernel.training.log import read_log
from tests.training.regression import CONFIG, Regression

Row = Mapping[str, Any]
TIMES = ("examples_per_s", "tokens_per_s", "peak_mb")


def rows(out: Path) -> list[dict[str, Any]]:
    """A training's log without times."""
    return [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in read_log(out / "train_log.jsonl")
    ]


def evaluations(out: Path) -> list[dict[str, Any]]:
    return read_log(out / "eval_log.jsonl")


def tensors(folder: Path) -> dict[str, bytes]:
    """Every tensor of a checkpoint, bit by bit."""
    return {
        f"{path.relative_to(folder)}: {name}": tensor.numpy().tobytes()
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def last(out: Path) -> Path:
    return max(out.glob("step-*"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    fit(Regression(), CONFIG, out)
    return out


def test_a_training_learns_logs_and_keeps_the_best(whole: Path) -> None:
    log, found = rows(whole), evaluations(whole)
    assert [row["step"] for row in log] == list(range(1, 41))
    assert log[0]["lr"] == pytest.approx({"layers": 0.0125, "bias": 0.125})
    assert log[0]["measures"]["num_tokens"] == 12
    assert [row["step"] for row in found] == [0, 6, 12, 18, 24, 30, 36, 40]
    assert found[0]["examples"][0]["question"] == "2?"
    errors = {row["step"]: row["measures"]["error"] for row in found}
    best = min(errors, key=errors.__getitem__)
    assert errors[best] < errors[0] / 3
    summary = json.loads((whole / "summary.json").read_text())
    assert (summary["best_step"], summary["ended"]) == (best, "done")
    kept = [int(path.name.removeprefix("step-")) for path in sorted(whole.glob("step-*"))]
    assert kept[-1] == 40
    assert best in kept
    assert len(kept) == (2 if best in kept[-2:] else 3)
    assert read_checkpoint(whole, system="regression").step == best


def test_killed_at_any_place_it_comes_to_the_same_weights_and_log(
    whole: Path, tmp_path: Path, root: Path
) -> None:
    chance = random.Random(5)
    kills = ["evaluate:0", "save:0", "save:2", "evaluate:1"]
    kills += [f"update:{chance.randrange(14)}" for _ in range(6)]
    chance.shuffle(kills)
    words = [sys.executable, "-m", "tests.training.regression", str(tmp_path), "{}", *kills]
    subprocess.run(words, check=True, cwd=root)
    assert tensors(last(tmp_path)) == tensors(last(whole))
    assert rows(tmp_path) == rows(whole)
    assert evaluations(tmp_path) == evaluations(whole)
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize("how", ["cancel", "sigterm", "sigint"])
def test_stopped_after_the_step_at_hand_it_goes_on_from_there(
    whole: Path, tmp_path: Path, how: str
) -> None:
    def stop(row: Row, total: int) -> None:
        if row["step"] == 7:  # where nothing is due to be saved
            if how == "cancel":
                cancel(tmp_path)
            else:
                os.kill(os.getpid(), getattr(signal, how.upper()))

    with owned(tmp_path) as job:
        with pytest.raises(KeyboardInterrupt), job.told():
            fit(Regression(), CONFIG, tmp_path, job=job, on_row=stop)
        expected = "cancelled" if how == "cancel" else "interrupted"
        assert job.status["state"] == expected
        assert (job.status["done_now"], job.status["owed"]) == (7, 33)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["ended"], summary["steps"]) == (expected, 7)
    assert last(tmp_path).name == "step-00000007"
    fit(Regression(), CONFIG, tmp_path)
    assert tensors(last(tmp_path)) == tensors(last(whole))
    assert rows(tmp_path) == rows(whole)


def test_a_forced_cancel_saves_nothing_more(tmp_path: Path) -> None:
    def stop(row: Row, total: int) -> None:
        if row["step"] == 7:
            cancel(tmp_path, is_forced=True)

    with owned(tmp_path) as job, pytest.raises(KeyboardInterrupt):
        fit(Regression(), CONFIG, tmp_path, job=job, on_row=stop)
    assert last(tmp_path).name == "step-00000006"


def test_the_status_says_how_far_it_is(tmp_path: Path) -> None:
    with owned(tmp_path) as job, job.told():
        fit(Regression(), CONFIG.but(steps=6), tmp_path, job=job)
    status = Job(tmp_path).status()
    assert (status["state"], status["unit"], status["total"]) == ("done", "step", 6)
    assert (status["done_before"], status["done_now"], status["owed"]) == (0, 6, 0)
    assert status["best_by"] == "error"  # type: ignore[typeddict-item]
    assert status["loss"] == pytest.approx(rows(tmp_path)[-1]["measures"]["loss"])  # type: ignore[typeddict-item]


def test_a_log_that_was_cut_off_or_ran_ahead_tells_one_story(whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    for folder in out.glob("step-*"):
        if folder.name > "step-00000036":
            shutil.rmtree(folder)
    with (out / "train_log.jsonl").open("a") as log:
        log.write('{"step": 41, "mea')
    fit(Regression(), CONFIG, out)
    assert rows(out) == rows(whole)
    assert evaluations(out) == evaluations(whole)
    assert tensors(last(out)) == tensors(last(whole))


def test_a_finished_training_is_not_begun_again(whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    learner = Regression()
    best = fit(learner, CONFIG, out)
    assert learner.seen == []
    assert best == read_checkpoint(out, system="regression").folder


# -- what may be others, and what not -----------------------------------------------------------


def test_another_training_in_the_same_folder_is_refused_by_field(
    whole: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    with pytest.raises(ConfigError, match=r"batch: 6 there, 4 here; .*lr: 0\.05 there, 0\.1 here"):
        fit(Regression(), CONFIG.but(lr=0.1, batch=4), out)
    with pytest.raises(ConfigError, match="num_samples: 24 there, 25 here"):
        fit(Regression(25), CONFIG, out)
    with pytest.raises(ConfigError, match="rank: None there, 8 here"):
        fit(Regression(), CONFIG, out, settings={"rank": 8})
    learner = Regression()
    learner.facts = lambda: {"data_sha256": "cd" * 32, "rows": [1, 2]}  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"data_sha256: 'abab.* there, 'cdcd.* here"):
        fit(learner, CONFIG, out)
    with pytest.raises(ConfigError, match=r"steps: 40 there, 50 here.*keep their learning rates"):
        fit(Regression(), CONFIG.but(steps=50), out)  # under a linear schedule all rates change
    (out / "config.json").unlink()  # the checkpoints know as well
    with pytest.raises(ConfigError, match="batch: 6 there, 4 here"):
        fit(Regression(), CONFIG.but(batch=4), out)
    assert rows(out) == rows(whole)


def test_what_changes_no_weight_may_change_and_a_length_where_rates_stay(tmp_path: Path) -> None:
    config = CONFIG.but(schedule="none", warmup=3)
    fit(Regression(), config, tmp_path / "one")
    fit(Regression(), config.but(steps=17), tmp_path / "two")
    changes = {"eval_every": 9, "save_every": None, "log_every": 2, "keep_last": 1, "patience": 99}
    fit(Regression(), config.but(**changes), tmp_path / "two")
    assert last(tmp_path / "two").name == "step-00000040"
    assert tensors(last(tmp_path / "one")) == tensors(last(tmp_path / "two"))
    assert [row["step"] for row in rows(tmp_path / "two")][16:19] == [17, 18, 20]
    with pytest.raises(ConfigError, match="steps: 40 there, 30 here"):
        fit(Regression(), config.but(steps=30), tmp_path / "two")  # they are done


# -- what goes wrong ----------------------------------------------------------------------------


def test_steps_that_are_not_finite_are_skipped_and_counted(tmp_path: Path) -> None:
    config = CONFIG.but(steps=8, max_bad_steps=2, accumulation=1)
    fit(Regression(bad=(2, 4)), config, tmp_path)
    log = read_log(tmp_path / "train_log.jsonl")
    assert [row["skipped"] for row in log] == [0, 0, 1, 1, 2, 2, 2, 2]
    assert log[2]["grad_norm"] is None
    assert json.loads((tmp_path / "summary.json").read_text())["skipped"] == 2
    assert all(
        torch.isfinite(t).all() for t in load_file(last(tmp_path) / "model.safetensors").values()
    )


def test_too_many_of_them_in_a_row_end_the_training(tmp_path: Path) -> None:
    config = CONFIG.but(max_bad_steps=3, accumulation=1)
    with pytest.raises(EngineError, match=r"3 steps in a row up to step 9 .*not finite"):
        fit(Regression(bad=(6, 7, 8)), config, tmp_path)
    assert last(tmp_path).name == "step-00000006"
    assert json.loads((tmp_path / "summary.json").read_text())["ended"] == "failed"


def test_patience_ends_it_and_the_best_one_stays(tmp_path: Path) -> None:
    scores = (5.0, 4.0, 3.0, 3.0, 9.0, float("nan"), 1.0, 1.0)
    config = CONFIG.but(patience=3, keep_last=1)
    best = fit(Regression(scores=scores), config, tmp_path)
    assert best.name == "step-00000012"
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == [best.name, "step-00000030"]
    assert json.loads((tmp_path / "summary.json").read_text())["ended"] == "patience"
    highest = config.but(best_is="highest", patience=None)
    assert fit(Regression(scores=scores), highest, tmp_path / "high").name == "step-00000024"


def test_what_cannot_be_done_here_is_said_before_it_begins(tmp_path: Path) -> None:
    for changes, problem in (
        ({"best_by": "em"}, "best_by 'em': an evaluation of regression measures error"),
        ({"batch": 7}, "batch 7 cannot be divided into 2 micro-batches"),
        ({"precision": "fp16"}, "'fp16' needs CUDA"),
        ({"gradient_checkpointing": True}, "has no model that has it"),
    ):
        with pytest.raises(ConfigError, match=problem):
            fit(Regression(), CONFIG.but(**changes), tmp_path)
    assert not list(tmp_path.glob("step-*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_machine_without_cuda_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this machine has no CUDA device"):
        fit(Regression(), CONFIG.but(device="cuda"), tmp_path)


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_an_optimiser_that_is_not_installed_is_named_with_its_extra(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs bitsandbytes.*pmi-workbench\[bitsandbytes\]"):
        fit(Regression(), CONFIG.but(optimizer="adamw8bit"), tmp_path)


def test_gradient_checkpointing_is_handed_to_the_model(tmp_path: Path) -> None:
    class Model:
        is_on = False

        def gradient_checkpointing_enable(self) -> None:
            self.is_on = True

    learner = Regression()
    learner.model = Model()  # type: ignore[attr-defined]
    fit(learner, CONFIG.but(steps=1, gradient_checkpointing=True), tmp_path)
    assert learner.model.is_on  # type: ignore[attr-defined]


def test_states_in_8_bits_are_gone_on_with(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")

    class Wide(Regression):  # smaller tensors stay in 32 bits
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.full((4096, 2), 0.1).requires_grad_()
            self.out = torch.linspace(-0.1, 0.1, 4096).requires_grad_()

    config = CONFIG.but(optimizer="adamw8bit", schedule="none", warmup=0, lr=1e-3)
    fit(Wide(), config, tmp_path / "one")
    fit(Wide(), config.but(steps=17), tmp_path / "two")
    fit(Wide(), config, tmp_path / "two")
    found = tensors(last(tmp_path / "one"))
    assert found == tensors(last(tmp_path / "two"))
    assert len(found["state/optimizer.safetensors: layers/out/state1"]) == 4096


# -- several processes --------------------------------------------------------------------------


def test_two_processes_train_as_one_does_with_two_micro_batches(tmp_path: Path, root: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    config = CONFIG.but(accumulation=2, steps=13, schedule="none", warmup=0)
    fit(Regression(is_certain=True), config, one)
    # What `accelerate launch` starts where there are several devices.
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    words += ["-m", "tests.training.together", str(two), "7", "13"]
    subprocess.run(words, check=True, cwd=root, capture_output=True)
    assert rows(two) == rows(one)
    found = {name: bits for name, bits in tensors(last(two)).items() if "random" not in name}
    assert found == {
        name: bits for name, bits in tensors(last(one)).items() if "random" not in name
    }
    assert len(list((last(two) / "state").glob("random-*.safetensors"))) == 2
    assert json.loads((two / "config.json").read_text())["machine"]["processes"] == 2
    with pytest.raises(ConfigError, match="processes: 2 there, 1 here"):
        fit(Regression(is_certain=True), config.but(accumulation=1), two)


def test_memory_that_is_freed_is_kept_where_the_c_library_can() -> None:
    import platform

    from pmi_kernel.training.memory import keep_freed_memory

    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")
