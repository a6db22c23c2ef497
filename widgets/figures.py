"""Charts: plotly figures that read well on light and dark ground."""

import html
import json
import uuid
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from IPython.display import display
from plotly.subplots import make_subplots

from pmi_kernel.sweep import SweepPoint
from widgets.reading import matrix

INK = "#888f99"
COLOURS = ("#3b82c4", "#d9722a", "#2f9e62", "#a366c9", "#c2477f", "#8a8a2a", "#3aa6a6")


def styled(figure: go.Figure, *, height: int = 380) -> go.Figure:
    """Return the figure with the workbench's ground, ink and size."""
    figure.update_layout(
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
        colorway=COLOURS,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        legend={"orientation": "h", "y": -0.2},
    )
    figure.update_xaxes(gridcolor="rgba(136,143,153,0.25)", zeroline=False)
    figure.update_yaxes(gridcolor="rgba(136,143,153,0.25)", zeroline=False)
    return figure


class Chart:
    """A place in a cell's output where figures are drawn, one after the other, from any thread."""

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex
        display({"text/html": ""}, raw=True, display_id=self._id)

    def draw(self, figure: go.Figure, caption: str) -> None:
        """Draw a figure; the caption stands where no chart can be drawn."""
        words = {"text/html": f"<p><em>{html.escape(caption)}</em></p>"}
        drawn = {"application/vnd.plotly.v1+json": json.loads(figure.to_json()), **words}
        # Plotly's renderer ignores updates of a chart that it has drawn: blank it in between.
        display(words, raw=True, display_id=self._id, update=True)
        display(drawn, raw=True, display_id=self._id, update=True)


def sweep_figure(points: Sequence[SweepPoint]) -> go.Figure:
    """Return gold log-probability and drift over training steps, a line for each rate and rank."""
    figure = make_subplots(
        cols=2, subplot_titles=("gold log-probability (nats)", "drift (nats per token)")
    )
    groups: dict[tuple[float, int], list[SweepPoint]] = {}
    for point in points:
        groups.setdefault((point.recipe.lr, point.recipe.rank), []).append(point)
    for place, ((lr, rank), group) in enumerate(groups.items()):
        group.sort(key=lambda point: point.recipe.steps)
        steps = [point.recipe.steps for point in group]
        style = {
            "name": f"lr {lr:g}, rank {rank}",
            "line": {"color": COLOURS[place % len(COLOURS)]},
            "mode": "lines+markers",
            "legendgroup": f"{lr}-{rank}",
        }
        figure.add_scatter(x=steps, y=[p.after_nats for p in group], **style, row=1, col=1)
        drift = [p.drift_kl_nats for p in group]
        figure.add_scatter(x=steps, y=drift, **style, showlegend=False, row=1, col=2)
    if points:
        figure.add_hline(
            y=points[0].before_nats, line_dash="dot", annotation_text="before", row=1, col=1
        )
    figure.update_xaxes(title_text="mem_steps")
    return styled(figure)


def norms_figure(norms: Mapping[str, float], title: str) -> go.Figure:
    """Return the norm of each layer's change as a heat map, modules by layers."""
    rows = matrix(dict(norms))
    layers = sorted({layer for cells in rows.values() for layer, _ in cells})
    values = [[dict(cells).get(layer) for layer in layers] for cells in rows.values()]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=layers,
            y=list(rows),
            colorscale="Oranges",
            colorbar={"title": "norm"},
            hovertemplate="layer %{x}, %{y}: %{z:.3g}<extra></extra>",
        )
    )
    figure.update_layout(title=title)
    figure.update_xaxes(title_text="layer")
    return styled(figure, height=320)
