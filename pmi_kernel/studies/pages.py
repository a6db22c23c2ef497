"""A study as a page: its tables, what is gained for what it costs, and how to repeat it."""

from collections.abc import Sequence

from plotly import graph_objects as go
from plotly.subplots import make_subplots

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.reports.pages.charts import COLOURS, bars, errors, pictures, styled
from pmi_kernel.reports.pages.render import Node, page, table_node
from pmi_kernel.studies.accumulation import STATES, Accumulation
from pmi_kernel.studies.recipes import Cell, Study

_BARS = ("answered_before", "answered_after", "rephrased_after", "answered_wrong")


def study_page(study: Study | Accumulation, command: str) -> str:
    """Return a study as one HTML page with live plotly pictures; it asks the network for nothing.

    Args:
        study: What was found.
        command: The command that makes it again.
    """
    title = "Recipes for injection" if isinstance(study, Study) else "Memories on memories"
    facts = Node("facts", "facts.html", {"facts": [("made by", command), *study.facts.items()]})
    shown = pictures(study_figures(study))
    return page(title, [facts, *study_nodes(study)], pictures=shown)


def study_nodes(study: Study | Accumulation) -> list[Node]:
    """Return a study's tables, and of a recipe study the commands that repeat the cells."""
    if isinstance(study, Accumulation):
        return [table_node("accumulation", study.caption, *study.table())]
    tables = [
        table_node(f"cells-{source}", f"{source}. {study.caption}", *study.table(source))
        for source in study.sources
    ]
    commands = [(f"{cell.source}, {cell.name}", cell.command) for cell in study.cells]
    repeat = table_node("commands", "To repeat one cell", ("cell", "command"), commands)
    return [*tables, repeat]


def study_figures(study: Study | Accumulation) -> list[go.Figure]:
    """Return a study's pictures.

    Of recipes: for each source what is answered in which state, and the gain for cost and drift. Of
    memories: how often each question is answered before, after the first and after both.
    """
    if isinstance(study, Accumulation):
        return [_accumulated(study)]
    return [
        figure
        for source in study.sources
        for cells in [[cell for cell in study.cells if cell.source == source]]
        for figure in (_answered(cells, source), _trade(cells, source))
    ]


def _answered(cells: Sequence[Cell], source: str) -> go.Figure:
    labels = [f"{cell.recipe}, {cell.steps} steps, rank {cell.rank}" for cell in cells]
    found = {FIGURES[name].label: [cell.figures.get(name) for cell in cells] for name in _BARS}
    title = f"{source}: replies that hold the gold answer, from weights alone (percent)"
    return bars(labels, found, title)


def _accumulated(study: Accumulation) -> go.Figure:
    rows = [
        (f"{mode}: {name} question", name, found)
        for mode in study.pairs
        for found in [study.figures(mode)]
        for name in ("first", "second")
    ]
    shares = {
        FIGURES[f"answered_{state}"].label: [found[f"{name}_{state}"] for _, name, found in rows]
        for state in STATES
    }
    labels = [label for label, *_ in rows]
    return bars(labels, shares, "Replies that hold the gold answer (percent)")


def _trade(cells: Sequence[Cell], source: str) -> go.Figure:
    figure = make_subplots(cols=2, shared_yaxes=True)
    recipes = list(dict.fromkeys(cell.recipe for cell in cells))
    for column, name in enumerate(("injection_s", "drift_kl_nats"), start=1):
        for place, recipe in enumerate(recipes):
            own = [cell for cell in cells if cell.recipe == recipe and name in cell.figures]
            across = [cell.figures[name] for cell in own]
            after = [cell.figures["answered_after"] for cell in own]
            figure.add_scatter(
                name=recipe,
                legendgroup=recipe,
                showlegend=column == 1,
                mode="markers+text",
                x=[one.mean for one in across],
                y=[100 * one.mean for one in after],
                text=[f"{cell.steps}/{cell.rank}" for cell in own],
                textposition="top center",
                marker={"color": COLOURS[place % len(COLOURS)], "size": 10},
                error_x=errors(across, 1),
                error_y=errors(after, 100),
                row=1,
                col=column,
            )
        figure.update_xaxes(title_text=FIGURES[name].axis, col=column)
    figure.update_layout(title=f"{source}: what is gained for what it costs (steps/rank)")
    figure.update_yaxes(title_text=FIGURES["answered_after"].axis, col=1)
    return styled(figure, height=460)
