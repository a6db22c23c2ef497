"""A view that measures point by point, and draws a curve and a table while it does."""

from abc import abstractmethod
from collections.abc import Iterator

import plotly.graph_objects as go
from IPython.core.getipython import get_ipython

from pmi_kernel.reports.pages.render import Node
from widgets.figures import Chart
from widgets.view import View


class Curve(View):
    """Measures in the view's own thread; Cancel ends it after the point at hand.

    Args:
        total: Points that are to be measured.
        what: What they are called.
    """

    def __init__(self, total: int, what: str) -> None:
        super().__init__()
        self._total, self._what = total, what
        self._num_measured = 0
        self._chart: Chart | None = None
        self._show()
        self.submit("Asking…", self._measure)

    @abstractmethod
    def _points(self) -> Iterator[object]:
        """Measure and keep one point after the other."""

    @abstractmethod
    def _table(self) -> Node | None:
        """What was measured, as a table; None for nothing yet."""

    @abstractmethod
    def _figure(self) -> tuple[go.Figure, str]:
        """The same as a picture, and what it shows."""

    def on_stop(self, *_: object) -> None:
        """The Cancel button."""
        self.stop()

    def idle_status(self) -> str:
        """See `View.idle_status`."""
        return f"{self._num_measured} of {self._total} {self._what} measured."

    def _measure(self) -> None:
        for _ in self._points():
            self._num_measured += 1
            self._show()
            self._draw()
            if self.is_stopping:
                break

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None:
            self._chart = Chart()
            self._draw()

    def _draw(self) -> None:
        if self._chart is not None and self._num_measured:
            self._chart.draw(*self._figure())

    def _show(self) -> None:
        done = {"done": self._num_measured, "total": self._total}
        button = {"action": "stop", "label": "Cancel", "is_on": True, "help": "End after this one"}
        table = self._table()
        self.show(
            [
                Node("toolbar", "toolbar.html", {"buttons": [button]}),
                Node("progress", "progress.html", done),
                *([table] if table else []),
            ]
        )
