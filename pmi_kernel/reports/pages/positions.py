"""The curve of answers over the place of the gold document."""

import plotly.graph_objects as go

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.reports.intervals import Interval
from pmi_kernel.reports.pages.charts import lines
from pmi_kernel.reports.positions import Positions


def positions_figure(found: Positions, score: str = "sub_em") -> go.Figure:
    """Return a score with its intervals over the gold document's place.

    There is a line for each system and number of documents.

    Args:
        found: What the runs came to.
        score: One of `SCORES`.
    """
    points: dict[str, list[tuple[float, Interval]]] = {}
    for one in found.points:
        name = f"{one.name}, {one.num_documents} documents"
        points.setdefault(name, []).append((one.gold_position, one.scores[score]))
    title = f"{FIGURES[score].label}, percent with 95 % intervals"
    return lines(points, title, "place of the gold document, 0 the first")
