"""A training, watched: how far it is, what it loses and learns; cancelled and gone on with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from IPython.core.getipython import get_ipython
from plotly.subplots import make_subplots

from pmi_kernel.jobs import Job
from pmi_kernel.reports.pages.charts import styled
from pmi_kernel.reports.pages.render import Node, seconds, table_node
from pmi_kernel.training.log import EVALUATIONS, STEPS, Followed
from widgets.figures import Chart
from widgets.watching import JobView

_MOST_POINTS = 1000
_COUNTED = ("num_tokens",)


class TrainingView(JobView):
    """Shows a training as it goes on; the training lives on without it.

    Args:
        job: A job, or a training's folder: all is found by it, after a restart of the kernel too.

    Raises:
        ConfigError: The folder holds no job.
    """

    def __init__(self, job: Job | str | Path) -> None:
        super().__init__(job)
        self._steps = Followed(self.job.out / STEPS)
        self._evaluations = Followed(self.job.out / EVALUATIONS)
        self._charts: list[Chart] = []
        self._follow()

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None and not self._charts:
            self._charts = [Chart(), Chart()]
            self._draw()

    def _look(self, status: Mapping[str, Any], is_running: bool) -> None:
        is_new = self._steps.look() | self._evaluations.look()
        done = status.get("done_before", 0) + status.get("done_now", 0)
        owed = status.get("owed", 0)
        can_resume = not is_running and status["state"] != "done"
        buttons = [
            ("cancel", "Cancel", is_running, "Finish the step at hand, save it, then stop"),
            ("resume", "Resume", can_resume, "Go on from the last checkpoint"),
        ]
        names = ("action", "label", "is_on", "help")
        toolbar = {"buttons": [dict(zip(names, button, strict=True)) for button in buttons]}
        shown = [
            Node("toolbar", "toolbar.html", toolbar),
            Node("progress", "progress.html", {"done": done, "total": done + owed}),
            Node("facts", "facts.html", {"facts": _facts(status, is_running, self._steps.rows)}),
        ]
        if self._evaluations.rows:
            shown += _evaluation_nodes(self._evaluations.rows)
        self.show(shown)
        if is_new:
            self._draw()

    def _draw(self) -> None:
        if self._charts and self._steps.rows:
            figure = steps_figure(self._steps.rows)
            self._charts[0].draw(figure, "Losses and learning rates by step.")
        if self._charts and self._evaluations.rows:
            figure = evaluations_figure(self._evaluations.rows)
            self._charts[1].draw(figure, "Measures of the evaluations by step.")


def _facts(
    status: Mapping[str, Any], is_running: bool, rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    facts = [("state", str(status["state"]))]
    if part := status.get("part"):
        facts.append(("now", part))
    if is_running and (eta_s := status.get("eta_s")):
        facts.append(("left", f"about {seconds(eta_s)}"))
    if rows:
        last = rows[-1]
        facts += [(name, f"{value:.4g}") for name, value in _parts(last).items()]
        facts.append(("examples per second", f"{last['examples_per_s']:.3g}"))
        facts.append(("memory at most", f"{last['peak_mb']:.0f} MB"))
        if last["skipped"]:
            facts.append(("steps skipped, not finite", f"{last['skipped']}"))
    if status.get("best") is not None:
        best = f"{status['best_by']} {status['best']:.4g} at step {status['best_step']}"
        facts.append(("best", best))
    return facts


def _evaluation_nodes(rows: Sequence[Mapping[str, Any]]) -> list[Node]:
    last = rows[-1]
    names = list(last["measures"])
    table = [
        (row["step"], *(_number(row["measures"].get(name)) for name in names)) for row in rows[-5:]
    ]
    nodes = [table_node("measures", "The last evaluations", ("step", *names), table)]
    if examples := last["examples"]:
        columns = list(dict.fromkeys(name for one in examples for name in one))
        cells = [[one.get(name, "") for name in columns] for one in examples]
        caption = f"Examples of the evaluation after step {last['step']}"
        nodes.append(table_node("examples", caption, columns, cells))
    return nodes


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _parts(row: Mapping[str, Any]) -> dict[str, float]:
    """The loss and its parts, as far as they are finite."""
    measures = row["measures"].items()
    return {name: value for name, value in measures if name not in _COUNTED and value is not None}


def steps_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return the loss with its parts, and the learning rate of each group, over the steps."""
    figure = make_subplots(cols=2, subplot_titles=("loss", "learning rate"))
    thinned = rows[:: 1 + len(rows) // _MOST_POINTS]
    _lines(figure, 1, [(row["step"], _parts(row)) for row in thinned])
    _lines(figure, 2, [(row["step"], row["lr"]) for row in thinned])
    return styled(figure)


def evaluations_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return the measures of the evaluations over the steps."""
    figure = make_subplots(cols=1, subplot_titles=("evaluations",))
    _lines(figure, 1, [(row["step"], _parts(row)) for row in rows], mode="lines+markers")
    return styled(figure, height=320)


def _lines(
    figure: go.Figure,
    column: int,
    points: Sequence[tuple[int, Mapping[str, float]]],
    mode: str = "lines",
) -> None:
    for name in dict.fromkeys(name for _, values in points for name in values):
        steps = [step for step, values in points if name in values]
        values = [values[name] for _, values in points if name in values]
        figure.add_scatter(x=steps, y=values, name=name, mode=mode, row=1, col=column)
    figure.update_xaxes(title_text="step", col=column)
