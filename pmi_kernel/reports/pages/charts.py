"""Pictures: plotly figures that read well on light and dark ground."""

from collections.abc import Mapping, Sequence

from plotly import graph_objects as go
from plotly.io import to_html

from pmi_kernel.reports.intervals import Interval

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
        margin={"l": 60, "r": 40, "t": 60, "b": 50},
        legend={"orientation": "h", "y": -0.2},
        modebar={"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": INK},  # beside the title
        hoverlabel={"namelength": -1},
    )
    figure.update_xaxes(gridcolor="rgba(136,143,153,0.25)", zeroline=False)
    figure.update_yaxes(gridcolor="rgba(136,143,153,0.25)", zeroline=False)
    return figure


def bars(
    labels: Sequence[str],
    found: Mapping[str, Sequence[Interval | None]],
    title: str,
    *,
    height: int = 460,
) -> go.Figure:
    """Return shares in percent with their intervals: a group for each label, a bar for each name.

    Args:
        labels: What the groups are.
        found: By a bar's name, its share in each group; None for no bar.
        title: What it shows.
        height: In pixels.
    """
    figure = go.Figure()
    for name, shares in found.items():
        figure.add_bar(
            name=name,
            x=list(labels),
            y=[100 * one.mean if one else None for one in shares],
            error_y=errors(shares, 100),
            customdata=[_said(one) for one in shares],
            hovertemplate="%{x}<br>%{customdata}",
        )
    figure.update_layout(title=title, barmode="group")
    return styled(figure, height=height)


def lines(
    found: Mapping[str, Sequence[tuple[float, Interval]]], title: str, across: str
) -> go.Figure:
    """Return shares in percent with their intervals over a number: a line for each name.

    Args:
        found: By a line's name, its points: where, and the share there.
        title: What it shows.
        across: What the number is.
    """
    figure = go.Figure()
    for name, points in found.items():
        shares = [share for _, share in points]
        figure.add_scatter(
            name=name,
            x=[at for at, _ in points],
            y=[100 * share.mean for share in shares],
            error_y=errors(shares, 100),
            customdata=[_said(share) for share in shares],
            hovertemplate="%{x}<br>%{customdata}",
            mode="lines+markers",
        )
    figure.update_layout(title=title)
    figure.update_xaxes(title_text=across)
    figure.update_yaxes(rangemode="tozero")
    return styled(figure, height=460)


def _said(share: Interval | None) -> str:
    """A share in percent with its interval and n, as a hover says it."""
    if share is None:
        return ""
    return f"{100 * share.mean:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}], n={share.n}"


def errors(found: Sequence[Interval | None], scale: float) -> dict[str, object]:
    """Return plotly's error bars of intervals, times `scale`."""
    return {
        "type": "data",
        "symmetric": False,
        "color": INK,
        "array": [scale * (one.high - one.mean) if one else 0 for one in found],
        "arrayminus": [scale * (one.mean - one.low) if one else 0 for one in found],
    }


def pictures(figures: Sequence[go.Figure]) -> str:
    """Return figures as HTML that asks the network for nothing."""
    return "".join(
        to_html(figure, full_html=False, include_plotlyjs=number == 0)
        for number, figure in enumerate(figures)
    )
