"""A recipe study as a page: its table, and what is gained for what is broken."""

from plotly import graph_objects as go
from plotly.io import to_html

from pmi_kernel.study import Cell, Study
from widgets.figures import COLOURS, styled
from widgets.render import Node, page


def study_page(study: Study, command: str) -> str:
    """Return the study as one HTML page with live plotly pictures; it asks the network for nothing.

    Args:
        study: What was found.
        command: The command that makes it again.
    """
    columns, rows = study.table()
    facts = [("questions", study.data), ("made by", command)]
    nodes = [
        Node("facts", "facts.html", {"facts": facts}),
        Node("cells", "table.html", {"caption": study.caption, "columns": columns, "rows": rows}),
    ]
    pictures = "".join(
        to_html(figure, full_html=False, include_plotlyjs=number == 0)
        for number, figure in enumerate(study_figures(study))
    )
    return page("Recipes for injection", nodes, pictures=pictures)


def study_figures(study: Study) -> list[go.Figure]:
    """Return two pictures: answered after injection and after the wrong passage; gain and drift."""
    labels = [f"{cell.recipe}, {cell.steps} steps, rank {cell.rank}" for cell in study.cells]
    answered = go.Figure()
    for name, colour, key in (
        ("before", COLOURS[5], "before"),
        ("after injection", COLOURS[0], "after"),
        ("wrong passage injected", COLOURS[1], "wrong"),
    ):
        found = [getattr(cell, key) for cell in study.cells]
        answered.add_bar(
            name=name,
            marker_color=colour,
            x=labels,
            y=[100 * one.mean if one else None for one in found],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * (one.high - one.mean) if one else 0 for one in found],
                "arrayminus": [100 * (one.mean - one.low) if one else 0 for one in found],
            },
        )
    answered.update_layout(title="Replies that hold the gold answer, from weights alone (percent)")
    traded = go.Figure()
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in study.cells:
        groups.setdefault((cell.recipe, cell.rank), []).append(cell)
    for place, ((recipe, rank), cells) in enumerate(groups.items()):
        traded.add_scatter(
            name=f"{recipe}, rank {rank}",
            mode="lines+markers+text",
            x=[cell.drift_nats.mean for cell in cells],
            y=[cell.rise_nats.mean for cell in cells],
            text=[f"{cell.steps}" for cell in cells],
            textposition="top center",
            line={"color": COLOURS[place % len(COLOURS)]},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [cell.rise_nats.high - cell.rise_nats.mean for cell in cells],
                "arrayminus": [cell.rise_nats.mean - cell.rise_nats.low for cell in cells],
            },
        )
    traded.update_layout(title="What is gained for what is broken; the numbers are steps")
    traded.update_xaxes(title_text="drift on unrelated prompts (nats per token)")
    traded.update_yaxes(title_text="gold answer likelier by (nats)")
    return [styled(answered, height=460), styled(traded, height=460)]
