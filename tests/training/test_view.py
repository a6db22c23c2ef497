"""A training as a notebook shows it: by its folder alone, while it goes on and after."""

import json
from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.systems.learning import launch_training, learner_config_class, train
from pmi_kernel.training.log import Followed, Log, read_log
from tests.training.regression import CONFIG
from tests.waiting import eventually
from widgets.training_view import TrainingView, evaluations_figure, steps_figure

pytestmark = pytest.mark.usefixtures("added")


def is_on(view: TrainingView, action: str) -> bool:
    (button,) = [b for b in view.html().split("<button") if f'data-action="{action}"' in b]
    return 'aria-disabled="false"' in button


def test_a_finished_training_is_shown_by_its_folder(tmp_path: Path) -> None:
    train("regression", learner_config_class("regression")(), CONFIG.but(steps=8), tmp_path)
    view = TrainingView(tmp_path)
    try:
        shown = view.html()
        for text in ("8 of 8", "done", "examples per second", "error", "2?", "at step"):
            assert text in shown
        assert not is_on(view, "cancel")
        assert not is_on(view, "resume")
    finally:
        view.close()
    with pytest.raises(ConfigError, match="holds no run, and no other job"):
        TrainingView(tmp_path / "step-00000008")


def test_its_buttons_cancel_and_resume(tmp_path: Path) -> None:
    config = learner_config_class("regression")(slow_s=0.05)
    job = launch_training("regression", config, CONFIG.but(steps=12), tmp_path)
    view = TrainingView(tmp_path)
    try:
        eventually(lambda: len(read_log(tmp_path / "train_log.jsonl")) > 1, "no step", 20)
        view.look()
        assert is_on(view, "cancel")
        view.on_cancel()
        eventually(lambda: not job.is_running, "it was not cancelled")
        view.look()
        assert "cancelled" in view.html()
        assert is_on(view, "resume")
    finally:
        view.close()
    again = TrainingView(tmp_path)  # as after a restart of the kernel
    try:
        again.on_resume()
        assert job.wait()["state"] == "done"
        again.look()
        assert "12 of 12" in again.html()
    finally:
        again.close()
        job.cancel(is_forced=True, wait_s=5)


def test_losses_rates_and_measures_are_lines_over_the_steps() -> None:
    rows = [
        {"step": n, "measures": {"loss": n / 2, "kl": 1.0, "num_tokens": 9}, "lr": {"a": 0.1}}
        for n in range(1, 2501)
    ]
    rows[0]["measures"] = {"loss": None, "kl": 1.0, "num_tokens": 9}
    figure = steps_figure(rows)
    assert [line.name for line in figure.data] == ["kl", "loss", "a"]
    assert len(figure.data[1].x) < 1000
    assert figure.data[1].y[0] == figure.data[1].x[0] / 2
    measured = [{"step": 0, "measures": {"em": 0.5}}, {"step": 9, "measures": {"em": None}}]
    assert list(evaluations_figure(measured).data[0].x) == [0]


def test_a_log_is_followed_over_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    followed = Followed(path)
    assert not followed.look()
    log = Log(path, 0)
    for step in range(1, 6):
        log.write({"step": step, "first": True})
    assert followed.look()
    assert not followed.look()
    with path.open("a") as file:
        file.write('{"step"')
    followed.look()
    assert [row["step"] for row in followed.rows] == [1, 2, 3, 4, 5]
    log.close()
    log = Log(path, 3)  # gone on with from step 3, and soon longer than it was
    for step in range(4, 9):
        log.write({"step": step})
    log.close()
    followed.look()
    assert followed.rows == [json.loads(line) for line in path.read_text().splitlines()]
