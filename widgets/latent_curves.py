"""How much a few latents keep: answers by paragraphs and by latents, measured live."""

from collections.abc import Iterator, Mapping, Sequence

import plotly.graph_objects as go

from pmi_kernel.reports.pages.render import Node, table_node
from pmi_kernel.studies.latents import LATENTS, PARAGRAPHS, LatentPoint, curves
from pmi_kernel.systems.latent_t5.system import LatentT5System
from widgets.curve import Curve
from widgets.figures import latents_figure

_KINDS = ("open", "closed", "other")


class LatentCurves(Curve):
    """Asks held-out questions under more and more paragraphs, and more and more latents.

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
        self.points: list[LatentPoint] = []
        self._systems, self._n = systems, n
        self._paragraphs, self._latents = paragraphs, latents
        super().__init__(len(systems) * (len(paragraphs) + len(latents)), "settings")

    def _points(self) -> Iterator[LatentPoint]:
        for point in curves(
            self._systems, n=self._n, paragraphs=self._paragraphs, latents=self._latents
        ):
            self.points.append(point)
            yield point

    def _figure(self) -> tuple[go.Figure, str]:
        split = len(self._systems) * len(self._paragraphs)
        figure = latents_figure(self.points[:split], self.points[split:])
        return figure, "Exact matches by paragraphs read and by latents used."

    def _table(self) -> Node | None:
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
        return table_node("table", caption, columns, rows) if rows else None
