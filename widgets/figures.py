"""Charts, and the place where they are drawn."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ipywidgets
import plotly.graph_objects as go
from IPython.display import display
from plotly.subplots import make_subplots

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.probe import Probe
from pmi_kernel.reports.intervals import Interval, mean_of
from pmi_kernel.reports.pages.charts import COLOURS, bars, errors, styled
from pmi_kernel.reports.pages.reading import matrix
from pmi_kernel.reports.run_table import RunRow, so_far
from pmi_kernel.studies.latents import LatentPoint
from pmi_kernel.studies.sweep import SweepPoint

if TYPE_CHECKING:
    import pandas as pd


class Chart:
    """A place where figures are drawn, one after the other, from any thread.

    It is a widget's, so that a page that is loaded anew has the chart, and goes on being drawn in.
    """

    def __init__(self) -> None:
        self._place = ipywidgets.Output()
        display(self._place)

    def draw(self, figure: go.Figure, caption: str) -> None:
        """Draw a figure; the caption stands where no chart can be drawn."""
        data = {
            "application/vnd.plotly.v1+json": json.loads(figure.to_json()),
            "text/html": f"<p><em>{html.escape(caption)}</em></p>",
        }
        # Plotly's renderer ignores updates of a chart that it has drawn: blank it in between.
        self.clear()
        self._place.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)

    def clear(self) -> None:
        """Show no figure."""
        self._place.outputs = ()


def sweep_figure(points: Sequence[SweepPoint]) -> go.Figure:
    """Return gold log-probability and drift over training steps, a line for each rate and rank."""
    figure = make_subplots(
        cols=2,
        subplot_titles=[FIGURES[name].heading for name in ("asked_gold_nats", "drift_kl_nats")],
    )
    groups: dict[tuple[float, int], list[SweepPoint]] = {}
    for point in points:
        groups.setdefault((point.lora.lr, point.lora.rank), []).append(point)
    for place, ((lr, rank), group) in enumerate(groups.items()):
        group.sort(key=lambda point: point.lora.steps)
        steps = [point.lora.steps for point in group]
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


def latents_figure(
    by_paragraphs: Sequence[LatentPoint], by_latents: Sequence[LatentPoint]
) -> go.Figure:
    """Return EM with 95 % intervals, over paragraphs read and over latents used."""
    figure = make_subplots(cols=2, subplot_titles=("by paragraphs", "by latents used"))
    lines: dict[tuple[str, str, int], list[tuple[int, Interval]]] = {}
    for column, points in enumerate((by_paragraphs, by_latents), start=1):
        for one in points:
            at = one.paragraphs if column == 1 else one.latents
            for kind, share in one.shares.items():
                if column == 1 or kind == "open":
                    lines.setdefault((one.name, kind, column), []).append((at, share))
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate({k[0]: 0 for k in lines})}
    for (name, kind, column), found in lines.items():
        figure.add_scatter(
            x=[at for at, _ in found],
            y=[100 * share.mean for _, share in found],
            error_y=errors([share for _, share in found], 100),
            name=f"{name}, {_GATES[kind]}",
            mode="lines+markers",
            line={"color": colours[name], "dash": _DASHES[kind]},
            legendgroup=f"{name}-{kind}",
            showlegend=column == 1,
            row=1,
            col=column,
        )
    figure.update_yaxes(range=[0, 100], title_text="EM (percent)")
    figure.update_xaxes(type="log", title_text="paragraphs of the context", row=1, col=1)
    figure.update_xaxes(type="log", title_text="latents", row=1, col=2)
    for column, points in enumerate((by_paragraphs, by_latents), start=1):
        ticks = sorted({one.paragraphs if column == 1 else one.latents for one in points})
        figure.update_xaxes(tickvals=ticks, row=1, col=column)
    return styled(figure)


_GATES = {"open": "gate open", "closed": "gate closed", "other": "another context"}
_DASHES = {"open": "solid", "closed": "dot", "other": "dash"}


def score_figure(frame: "pd.DataFrame") -> go.Figure:
    """Return EM and F1 with 95 % intervals: over all, by type, level and steps."""
    groups = [("all", frame)]
    for column in ("type", "level", "num_steps"):
        label = "steps" if column == "num_steps" else column
        groups += [(f"{label}: {name}", part) for name, part in frame.groupby(column)]
    labels = [f"{name} (n={len(part)})" for name, part in groups]
    found = {
        FIGURES[score].label: [mean_of(score, part[score].tolist()) for _, part in groups]
        for score in ("em", "f1")
    }
    return bars(labels, found, "Score, percent, with 95 % intervals", height=380)


def ends_figure(frame: "pd.DataFrame") -> go.Figure:
    """Return end reasons, and mean seconds per episode by stage."""
    figure = make_subplots(cols=2, subplot_titles=("end reasons", "mean seconds by stage"))
    ends = frame["end_reason"].value_counts()
    figure.add_bar(x=[end.replace("_", " ") for end in ends.index], y=ends.tolist(), row=1, col=1)
    stages = frame[[name for name in frame.columns if name.endswith("_s")]].fillna(0).mean()
    names = [name.removesuffix("_s") for name in stages.index]
    figure.add_bar(x=names, y=stages.tolist(), row=1, col=2)
    figure.update_layout(showlegend=False)
    return styled(figure, height=320)


def overlaid_figure(rows: Mapping[str, RunRow]) -> go.Figure:
    """Return EM so far and seconds so far over the episodes, a line for each run."""
    figure = make_subplots(cols=2, subplot_titles=("EM so far (percent)", "seconds so far"))
    for place, (name, row) in enumerate(rows.items()):
        style = {
            "name": html.escape(name),
            "line": {"color": COLOURS[place % len(COLOURS)]},
            "mode": "lines",
            "legendgroup": name,
        }
        for column, (score, scale, unit) in enumerate((("em", 100, " %"), ("seconds", 1, " s")), 1):
            counts, values = so_far(row, score)
            figure.add_scatter(
                x=counts,
                y=[scale * value for value in values],
                hovertemplate=f"%{{y:.1f}}{unit} after %{{x}} episodes",
                showlegend=column == 1,
                **style,
                row=1,
                col=column,
            )
    figure.update_xaxes(title_text="episodes, in the order of their ids")
    figure.update_yaxes(rangemode="tozero")
    return styled(figure)


def episodes_figure(frame: "pd.DataFrame", view_id: str) -> go.Figure:
    """Return a point for each episode, F1 over seconds; a click opens it in the view."""
    figure = go.Figure()
    cost = frame[[name for name in frame.columns if name.endswith("_s")]].fillna(0).sum(axis=1)
    for end, part in frame.groupby("end_reason"):
        figure.add_scatter(
            name=end.replace("_", " "),
            mode="markers",
            x=cost[part.index].tolist(),
            y=part["f1"].tolist(),
            customdata=part.index.tolist(),
            text=[html.escape(str(answer)) for answer in part["prediction"]],
            hovertemplate="%{customdata}<br>%{text}<br>F1 %{y:.2f}, %{x:.1f} s<extra></extra>",
            marker={"size": 10, "opacity": 0.75},
        )
    figure.update_layout(title="Every episode: click a point to open it", meta={"view": view_id})
    figure.update_xaxes(title_text="seconds")
    figure.update_yaxes(title_text="F1")
    return styled(figure)


def rise_figure(probes: Sequence[tuple[str, Probe]], view_id: str) -> go.Figure:
    """Return the gold answer's log-probability before and after each injection."""
    figure = go.Figure()
    before = [probe.before.gold_no_evidence.total_nats for _, probe in probes]
    after = [probe.after.gold_no_evidence.total_nats for _, probe in probes]
    low, high = min([*before, *after], default=-1.0), max([*before, *after], default=0.0)
    figure.add_scatter(
        x=[low, high], y=[low, high], mode="lines", line={"dash": "dot"}, name="no change"
    )
    figure.add_scatter(
        x=before,
        y=after,
        mode="markers",
        name="injection",
        customdata=[episode_id for episode_id, _ in probes],
        hovertemplate="%{customdata}<br>%{x:.2f} → %{y:.2f} nats<extra></extra>",
        marker={"size": 9},
    )
    figure.update_layout(
        title="Gold log-probability, asked without evidence (nats): above the line it rose",
        meta={"view": view_id},
    )
    figure.update_xaxes(title_text="before the injection")
    figure.update_yaxes(title_text="after")
    return styled(figure)
