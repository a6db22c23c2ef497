"""How much a few latents keep: answers by paragraphs and by latents, measured live."""

from collections.abc import Mapping, Sequence

from IPython.core.getipython import get_ipython

from pmi_kernel.reports.pages.render import Node, table_node
from pmi_kernel.studies.latents import LATENTS, PARAGRAPHS, LatentPoint, curves
from pmi_kernel.systems.latent_t5.system import LatentT5System
from widgets.figures import Chart, latents_figure
from widgets.view import View

_KINDS = ("open", "closed", "other")


class LatentCurves(View):
    """Asks held-out questions under more and more paragraphs, and fewer and fewer latents.

    Args:
        systems: By the name that stands in the picture.
        n: Questions of each point.
        paragraphs: How many a context has.
        latents: How many are used, of contexts of three paragraphs.
    """

    def __init__(
        self,
        systems: Mapping[str, LatentT5System],
        *,
        n: int = 24,
        paragraphs: Sequence[int] = PARAGRAPHS,
        latents: Sequence[int] = LATENTS,
    ) -> None:
        super().__init__()
        self._systems, self._n = systems, n
        self._paragraphs, self._latents = paragraphs, latents
        self.points: list[LatentPoint] = []
        self._chart: Chart | None = None
        self._show()
        self.submit("Asking…", self._measure)

    def on_stop(self, *_: object) -> None:
        """The Cancel button."""
        self.stop()

    def _measure(self) -> None:
        found = curves(self._systems, n=self._n, paragraphs=self._paragraphs, latents=self._latents)
        for point in found:
            self.points.append(point)
            self._show()
            self._draw()

    def idle_status(self) -> str:
        """See `View.idle_status`."""
        return f"{len(self.points)} of {self._total} settings measured."

    @property
    def _total(self) -> int:
        return len(self._systems) * (len(self._paragraphs) + len(self._latents))

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None:
            self._chart = Chart()
            self._draw()

    def _draw(self) -> None:
        if self._chart is not None and self.points:
            split = min(len(self.points), len(self._systems) * len(self._paragraphs))
            figure = latents_figure(self.points[:split], self.points[split:])
            self._chart.draw(figure, "Exact matches by paragraphs read and by latents used.")

    def _show(self) -> None:
        rows = [
            (
                one.name,
                str(one.paragraphs),
                str(one.latents),
                *(one.shares[kind].show("em") if kind in one.shares else "" for kind in _KINDS),
                f"{one.support_mass:.2f}",
            )
            for one in self.points
        ]
        columns = (
            "system",
            "paragraphs",
            "latents",
            "EM, gate open",
            "gate closed",
            "another context",
            "support mass",
        )
        caption = f"n = {self._n} questions a row, with 95 % intervals; none was trained on."
        self.show(
            [
                Node("progress", "progress.html", {"done": len(rows), "total": self._total}),
                table_node("table", caption, columns, rows),
            ]
        )
