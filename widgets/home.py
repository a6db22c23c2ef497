"""The way in: what was run, what is running, and each opened with one click."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import display

from pmi_kernel.core.errors import PmiError
from pmi_kernel.core.figures import FIGURES
from pmi_kernel.jobs import Job, find_jobs
from pmi_kernel.jobs.status import GOING_ON, State
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.runs.files import SUMMARY
from pmi_kernel.studies.accumulation import read_accumulation
from pmi_kernel.studies.grid import ARMS
from pmi_kernel.studies.recipes import read_study
from widgets.charts import RunCharts
from widgets.compare_view import CompareView
from widgets.monitor import JobMonitor
from widgets.replay import Replay
from widgets.study import StudyView
from widgets.training_view import TrainingView
from widgets.view import View

_SHOWN = 30
_SCORES = ("em", "f1")


class Home(View):
    """Lists what is in a folder of runs; a click opens it below, also what is still running.

    Args:
        root: The folder; studies may hold runs of their own.
    """

    def __init__(self, root: str | Path = "../runs") -> None:
        super().__init__()
        self._root = Path(root)
        self._chosen = ""
        self.opened: tuple[View, ...] = ()
        self._below = ipywidgets.Output()
        self.look()

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None:
            display(self._below)

    def look(self) -> None:
        """Show what is there now."""
        jobs = find_jobs(self._root) if self._root.is_dir() else []
        kinds = ((name, [job for job in jobs if _verb(job) == name]) for name in _KINDS)
        self.show(
            [
                Node("toolbar", "toolbar.html", {"buttons": [_REFRESH]}),
                *(self._table(name, found) for name, found in kinds if found),
            ]
        )
        where = self._root.resolve()
        self.say(f"{len(jobs)} in {where}." if jobs else f"Nothing was run in {where} yet.")

    def open_job(self, folder: str | Path) -> tuple[View, ...]:
        """Show a run, a study or a training below, and return its views.

        Raises:
            ConfigError: The folder holds none of them.
            DataError: Its records cannot be read.
        """
        job = Job.attach(folder)
        for view in self.opened:
            view.close()
        self._chosen = str(folder)
        self.opened = tuple(_views(job))
        self._below.clear_output()
        with self._below:
            for view in self.opened:
                display(view)
        self.look()
        self.say(f"{folder} is open below.")
        return self.opened

    def on_refresh(self, *_: object) -> None:
        """The Refresh button."""
        self.look()

    def on_choose(self, args: Mapping[str, Any], _: object) -> None:
        """Open what was clicked."""
        self.open_job(args["id"])

    def _table(self, kind: str, jobs: Sequence[Job]) -> Node:
        about, columns = _KINDS[kind]
        newest = sorted(jobs, key=lambda job: job.out.stat().st_mtime, reverse=True)
        if len(newest) > _SHOWN:
            about += f", the newest {_SHOWN} of {len(newest)}"
        choices = [
            {"id": str(job.out), "text": str(job.out.relative_to(self._root)), "cells": _cells(job)}
            for job in newest[:_SHOWN]
        ]
        table = {"about": about, "columns": columns, "choices": choices, "selected": self._chosen}
        return Node(kind, "choices.html", table)


_REFRESH = {
    "action": "refresh",
    "label": "Refresh",
    "is_on": True,
    "help": "Look again for what was run since",
}
_KINDS = {
    "run": (
        "Runs: a system on a data set",
        ("run", "state", "done", *(FIGURES[name].label for name in _SCORES), "system", "model"),
    ),
    "study": ("Studies: many runs on one table", ("study", "state", "done")),
    "grid": (
        "Grids: what weights add to the question, and to the context",
        ("grid", "state", "done"),
    ),
    "train": ("Trainings: what a system learns before it is run", ("training", "state", "done")),
}
"""What each kind of job is, and the columns of its table."""


def _verb(job: Job) -> str:
    """The kind of a job; one that cannot be told is shown as a run."""
    try:
        return job.verb or "run"
    except PmiError:
        return "run"


def _cells(job: Job) -> tuple[str, ...]:
    """A row of a table, but for the name."""
    try:
        status = job.status()
        done = status.get("done_before", 0) + status.get("done_now", 0)
        counted = f"{done} of {status['total']}" if "total" in status else ""
        cells = (status["state"].replace("_", " "), counted)
        if _verb(job) != "run":
            return cells
        summary = SUMMARY.read(job.out)
    except PmiError as error:
        return (f"cannot be read: {error}",)
    if summary is None:
        return (*cells, "", "", "", "")
    model = Path(summary["engine"].get("model", "")).name
    scores = (FIGURES[name].show(summary[name]) for name in _SCORES)  # type: ignore[literal-required]
    return (*cells, *scores, summary["system"], model)


def _views(job: Job) -> Sequence[View]:
    """What shows a job: as it goes on, or what it came to."""
    verb, is_going_on = _verb(job), job.status()["state"] in GOING_ON
    if verb == "train":
        return [TrainingView(job)]
    if verb == "grid":
        is_done = job.status()["state"] == State.DONE
        return [CompareView([job.out / arm for arm in ARMS]) if is_done else JobMonitor(job)]
    if verb == "study":
        if is_going_on:
            return [JobMonitor(job)]
        is_recipes = (job.out / "study.json").exists()
        return [StudyView((read_study if is_recipes else read_accumulation)(job.out))]
    if is_going_on:
        return [JobMonitor(job), RunCharts(job)]
    replay = Replay(job.out)
    return [RunCharts(job, replay), replay]
