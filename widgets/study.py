"""A study as a page: its tables, what is gained for what it costs, and how to repeat it."""

from collections.abc import Mapping, Sequence

from IPython.core.getipython import get_ipython
from plotly import graph_objects as go
from plotly.io import to_html
from plotly.subplots import make_subplots

from pmi_kernel.reports.compare import Interval
from pmi_kernel.reports.pages.render import Node, page
from pmi_kernel.studies.accumulation import Accumulation
from pmi_kernel.studies.recipes import Cell, Study
from widgets.figures import COLOURS, Chart, styled
from widgets.view import View


def study_page(study: Study, command: str) -> str:
    """Return the study as one HTML page with live plotly pictures; it asks the network for nothing.

    Args:
        study: What was found.
        command: The command that makes it again.
    """
    facts = Node("facts", "facts.html", {"facts": [("made by", command), *study.facts.items()]})
    figures = [one for source in study.sources for one in study_figures(study, source)]
    return page("Recipes for injection", [facts, *study_nodes(study)], pictures=_pictures(figures))


def accumulation_page(found: Accumulation, command: str) -> str:
    """Return an accumulation study as one HTML page; it asks the network for nothing.

    Args:
        found: What was found.
        command: The command that makes it again.
    """
    facts = Node("facts", "facts.html", {"facts": [("made by", command), *found.facts.items()]})
    return page(
        "Memories on memories",
        [facts, accumulation_node(found)],
        pictures=_pictures([accumulation_figure(found)]),
    )


class StudyView(View):
    """A study's tables and pictures, as far as it has been run.

    Args:
        study: A recipe study or an accumulation study.
    """

    def __init__(self, study: Study | Accumulation) -> None:
        super().__init__()
        if isinstance(study, Study):
            self._figures = [one for src in study.sources for one in study_figures(study, src)]
            self.show(study_nodes(study))
            self.say(f"{len(study.cells)} of {study.num_cells} cells have results.")
        else:
            self._figures = [accumulation_figure(study)]
            self.show([accumulation_node(study)])
            self.say("")

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None:
            for figure in self._figures:
                Chart().draw(figure, figure.layout.title.text)


def study_nodes(study: Study) -> list[Node]:
    """Return a table for each source, and the commands that repeat the cells."""
    tables = []
    for source in study.sources:
        columns, rows = study.table(source)
        caption = f"{source}. {study.caption}"
        data = {"caption": caption, "columns": columns, "rows": rows}
        tables.append(Node(f"cells-{source}", "table.html", data))
    commands = [(f"{cell.source}, {cell.name}", cell.command) for cell in study.cells]
    repeat = {"caption": "To repeat one cell", "columns": ("cell", "command"), "rows": commands}
    return [*tables, Node("commands", "table.html", repeat)]


def accumulation_node(found: Accumulation) -> Node:
    """Return an accumulation study's table."""
    columns, rows = found.table()
    data = {"caption": found.caption, "columns": columns, "rows": rows}
    return Node("accumulation", "table.html", data)


def study_figures(study: Study, source: str) -> list[go.Figure]:
    """Return two pictures of a source: what is answered in which state; gain for cost and drift."""
    cells = [cell for cell in study.cells if cell.source == source]
    labels = [f"{cell.recipe}, {cell.steps} steps, rank {cell.rank}" for cell in cells]
    bars = {
        "before": "answered_before",
        "after injection": "answered_after",
        "rephrased, after": "rephrased_after",
        "wrong passage injected": "answered_wrong",
    }
    answered = _bars(
        labels,
        {name: [cell.figures.get(key) for cell in cells] for name, key in bars.items()},
        f"{source}: replies that hold the gold answer, from weights alone (percent)",
    )
    return [answered, _trade(cells, source)]


def accumulation_figure(found: Accumulation) -> go.Figure:
    """Return how often each question is answered: before, after the first memory, after both."""
    figures = {mode: found.figures(mode) for mode in found.pairs}
    labels = [f"{mode}: {name} question" for mode in figures for name in ("first", "second")]
    bars = {
        label: [
            figures[mode][f"{name}_{state}"] for mode in figures for name in ("first", "second")
        ]
        for label, state in (
            ("before", "before"),
            ("after the first memory", "after_first"),
            ("after both", "after_both"),
        )
    }
    return _bars(labels, bars, "Replies that hold the gold answer (percent)")


def _trade(cells: Sequence[Cell], source: str) -> go.Figure:
    figure = make_subplots(cols=2, shared_yaxes=True)
    axes = ("injection_s", "drift_kl_nats")
    recipes = list(dict.fromkeys(cell.recipe for cell in cells))
    for place, recipe in enumerate(recipes):
        own = [cell for cell in cells if cell.recipe == recipe]
        after = [cell.figures["answered_after"] for cell in own]
        for column, name in enumerate(axes, start=1):
            across = [cell.figures[name] for cell in own]
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
                error_x=_errors(across, 1),
                error_y=_errors(after, 100),
                row=1,
                col=column,
            )
    figure.update_layout(title=f"{source}: what is gained for what it costs (steps/rank)")
    figure.update_xaxes(title_text="seconds per injection", col=1)
    figure.update_xaxes(title_text="drift on unrelated texts (nats per token)", col=2)
    figure.update_yaxes(title_text="answered after (percent)", col=1)
    return styled(figure, height=460)


def _bars(
    labels: Sequence[str], bars: Mapping[str, Sequence[Interval | None]], title: str
) -> go.Figure:
    figure = go.Figure()
    for place, (name, found) in enumerate(bars.items()):
        figure.add_bar(
            name=name,
            marker_color=COLOURS[place],
            x=list(labels),
            y=[100 * one.mean if one else None for one in found],
            error_y=_errors(found, 100),
        )
    figure.update_layout(title=title, barmode="group")
    return styled(figure, height=460)


def _errors(found: Sequence[Interval | None], scale: float) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [scale * (one.high - one.mean) if one else 0 for one in found],
        "arrayminus": [scale * (one.mean - one.low) if one else 0 for one in found],
    }


def _pictures(figures: Sequence[go.Figure]) -> str:
    return "".join(
        to_html(figure, full_html=False, include_plotlyjs=number == 0)
        for number, figure in enumerate(figures)
    )
