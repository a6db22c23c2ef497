"""Answers over the place of the gold document, measured live."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.reports.pages.positions import positions_figure
from pmi_kernel.reports.pages.render import Node, table_node
from pmi_kernel.reports.positions import by_position
from pmi_kernel.studies.positions import places_of, run_positions
from widgets.curve import Curve


class PositionCurve(Curve):
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
        self.runs: list[Path] = []
        self._configs, self._source, self._out = configs, source, Path(out)
        self._num_docs, self._places = num_docs, places
        each = sum(len(places or places_of(count)) for count in num_docs)
        super().__init__(len(configs) * each, "places")

    def _points(self) -> Iterator[Path]:
        for folder in run_positions(
            self._configs,
            self._source,
            self._out,
            num_docs=self._num_docs,
            places=self._places,
        ):
            self.runs.append(folder)
            yield folder

    def _figure(self) -> tuple[go.Figure, str]:
        figure = positions_figure(by_position(self.runs))
        return figure, "Sub-span EM by the place of the gold document."

    def _table(self) -> Node | None:
        if not self.runs:
            return None
        table = by_position(self.runs).table()
        return table_node("positions", table.caption, table.columns, table.rows)
