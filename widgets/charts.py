"""A run in pictures, drawn anew while it goes on; its points open in a replay."""

import threading
from pathlib import Path

from IPython.core.getipython import get_ipython

from pmi_kernel.core.figures import SCORES
from pmi_kernel.core.probe import Probe
from pmi_kernel.jobs import Job
from pmi_kernel.reports.compare import results_frame
from pmi_kernel.reports.intervals import mean_of
from pmi_kernel.reports.pages.figures import figures_node
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.reports.recording import Recording
from widgets.figures import Chart, ends_figure, episodes_figure, rise_figure, score_figure
from widgets.replay import Replay
from widgets.view import View

_POLL_S = 2.0


class RunCharts(View):
    """Scores with intervals, what injection did, ends and costs, and every episode as a point.

    Args:
        run: A run directory, or a job.
        replay: Where a clicked point opens; looks for new episodes when the charts do.

    Raises:
        DataError: There is no run, or a record cannot be read.
    """

    def __init__(self, run: str | Path | Job, replay: Replay | None = None) -> None:
        super().__init__()
        self._out = run.out if isinstance(run, Job) else Path(run)
        self._replay = replay
        self._recording = Recording(self._out)
        self._charts: list[Chart] = []
        self._is_closed = threading.Event()
        self._describe()

    def on_refresh(self, *_: object) -> None:
        """The Refresh button."""
        self.submit("Drawing…", self._draw)

    def close(self) -> None:
        """Stop looking for new episodes."""
        self._is_closed.set()
        super().close()

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None and not self._charts:
            self._charts = [Chart() for _ in range(4)]
            self._draw()
            if Job(self._out).is_running:
                threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        is_running = True
        while is_running and not self._is_closed.wait(_POLL_S):
            is_running = Job(self._out).is_running
            if self._recording.refresh():
                self.submit("Drawing…", self._draw)

    def _draw(self) -> None:
        self._recording.refresh()
        self._describe()
        results = self._recording.results
        if not results or not self._charts:
            return
        if self._replay:
            self._replay.on_refresh()
        view_id = self._replay.view_id if self._replay else ""
        frame = results_frame(results.values())
        probes = [(id_, p) for id_ in self._recording.ids for p in self._probes(id_)]
        self._charts[0].draw(score_figure(frame), "EM and F1 by type, level and steps.")
        self._charts[1].draw(ends_figure(frame), "End reasons and seconds by stage.")
        self._charts[2].draw(episodes_figure(frame, view_id), "F1 of every episode over its cost.")
        if probes:
            words = "Gold log-probability before and after each injection."
            self._charts[3].draw(rise_figure(probes, view_id), words)

    def _probes(self, episode_id: str) -> tuple[Probe, ...]:
        # Traces of runs without probes are not read for the picture.
        return self._recording.trace(episode_id).probes if self._recording.is_probed else ()

    def _describe(self) -> None:
        results = list(self._recording.results.values())
        means = {
            name: mean_of(name, [one.scores[name] for one in results]) for name in SCORES if results
        }
        caption = f"{self._out}, with 95 % intervals."
        button = {"action": "refresh", "label": "Refresh", "is_on": True, "help": "Draw again"}
        self.show(
            [
                Node("toolbar", "toolbar.html", {"buttons": [button]}),
                figures_node("scores", caption, [({}, means)], SCORES, called="episodes"),
            ]
        )
        if not results:
            self.say("No episode is done yet; the charts follow.")
