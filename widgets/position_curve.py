"""Answers over the place of the gold document, measured live or read from runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from IPython.core.getipython import get_ipython

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.reports.pages.positions import positions_figure
from pmi_kernel.reports.pages.render import Node, table_node
from pmi_kernel.reports.positions import by_position
from pmi_kernel.studies.positions import places_of, run_positions
from widgets.figures import Chart
from widgets.view import View


class PositionCurve(View):
    """Runs systems with the gold document at one place after the other, and draws what they say.

    Args:
        configs: Systems, by what their runs are called.
        source: Questions with gold documents.
        out: Folder of the runs; what is there is gone on with.
        num_docs: Documents of each question.
        places: Places of the gold document; by default the usual ones.
    """

    def __init__(
        self,
        configs: Mapping[str, SystemConfig],
        source: str,
        out: str | Path,
        *,
        num_docs: Sequence[int] = (5,),
        places: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self._configs, self._source, self._out = configs, source, Path(out)
        self._num_docs, self._places = num_docs, places
        self.runs: list[Path] = []
        self._chart: Chart | None = None
        self._show()
        self.submit("Asking…", self._measure)

    def on_stop(self, *_: object) -> None:
        """The Cancel button."""
        self.stop()

    def _measure(self) -> None:
        for folder in run_positions(
            self._configs,
            self._source,
            self._out,
            num_docs=self._num_docs,
            places=self._places,
        ):
            self.runs.append(folder)
            self._show()
            self._draw()
            if self.is_stopping:
                break

    def idle_status(self) -> str:
        """See `View.idle_status`."""
        return f"{len(self.runs)} of {self._total} places measured."

    @property
    def _total(self) -> int:
        each = sum(len(self._places or places_of(count)) for count in self._num_docs)
        return len(self._configs) * each

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None:
            self._chart = Chart()
            self._draw()

    def _draw(self) -> None:
        if self._chart is not None and self.runs:
            figure = positions_figure(by_position(self.runs))
            self._chart.draw(figure, "Sub-span EM by the place of the gold document.")

    def _show(self) -> None:
        nodes = [
            Node("progress", "progress.html", {"done": len(self.runs), "total": self._total}),
        ]
        if self.runs:
            table = by_position(self.runs).table()
            nodes.append(table_node("positions", table.caption, table.columns, table.rows))
        self.show(nodes)
