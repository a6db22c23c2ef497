"""A study as a page: what it found, in pictures, in tables, and how to repeat it."""

from collections.abc import Sequence

from plotly import graph_objects as go
from plotly.subplots import make_subplots

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.reports.pages.charts import COLOURS, bars, errors, pictures, styled
from pmi_kernel.reports.pages.figures import figures_node
from pmi_kernel.reports.pages.render import Node, fold_node, found_node, page, table_node
from pmi_kernel.studies.accumulation import FIGURES_OF_PAIRS, STATES, Accumulation
from pmi_kernel.studies.recipes import COLUMNS, Cell, Study

_BARS = ("answered_before", "answered_after", "rephrased_after", "answered_wrong")


def study_page(study: Study | Accumulation, command: str) -> str:
    """Return a study as one HTML page with live plotly pictures; it asks the network for nothing.

    Args:
        study: What was found.
        command: The command that makes it again.
    """
    head, *rest = study_nodes(study, command)
    shown = pictures(study_figures(study))
    return page(str(head.data["title"]), [head], pictures=shown, below=rest)


def study_nodes(study: Study | Accumulation, command: str = "") -> list[Node]:
    """Return what a study found in a sentence, its tables, and folded what repeats it.

    Args:
        study: What was found.
        command: The command that makes it again, where it is known.
    """
    made = [("made by", command)] if command else []
    facts = Node("facts", "facts.html", {"facts": [*made, *study.facts.items()]})
    if isinstance(study, Accumulation):
        rows = [
            ({"accumulate": mode, "asked": f"{name} question"}, study.asked(mode, name))
            for mode in study.pairs
            for name in ("first", "second")
        ]
        table = figures_node("accumulation", study.caption, rows, FIGURES_OF_PAIRS, called="pairs")
        head = found_node("Memories on memories", _found_of_pairs(study))
        return [head, table, fold_node("made", "How it was made", [facts])]
    tables = [
        figures_node(
            f"cells-{source}",
            f"{source}. {study.caption}",
            [(_labels(cell), cell.figures) for cell in study.cells if cell.source == source],
            COLUMNS,
            called="episodes a cell",
        )
        for source in study.sources
    ]
    commands = [(f"{cell.source}, {cell.name}", cell.command) for cell in study.cells]
    repeat = table_node("commands", "To repeat one cell", ("cell", "command"), commands)
    made_node = fold_node("made", "How it was made, and how to repeat one cell", [facts, repeat])
    return [found_node("Recipes for injection", _found(study)), *tables, made_node]


def _labels(cell: Cell) -> dict[str, str]:
    return {"recipe": cell.recipe, "steps": str(cell.steps), "rank": str(cell.rank)}


def _found(study: Study) -> str:
    """What a recipe study came to: which cell answers the most, and what that costs."""
    told = [cell for cell in study.cells if "answered_after" in cell.figures]
    if not told:
        return f"{len(study.cells)} of {study.num_cells} cells have results."
    best = max(told, key=lambda cell: cell.figures["answered_after"].mean)
    words = f"From weights alone {best.name} answers the most: {_said(best, 'answered_after')} %"
    if "answered_wrong" in best.figures:
        words += f" ({_said(best, 'answered_wrong')} % after another question's passage)"
    if "injection_s" in best.figures:
        words += f", at {_said(best, 'injection_s')} s an injection"
    kept = [name for name in ("unrelated_before", "unrelated_after") if name in best.figures]
    if len(kept) == 2:
        before, after = (FIGURES[name].show(best.figures[name].mean) for name in kept)
        words += f"; of unrelated questions {after} % are right, {before} % before"
    if len(study.cells) < study.num_cells:
        words += f". {len(study.cells)} of {study.num_cells} cells have results"
    return f"{words}."


def _said(cell: Cell, name: str) -> str:
    return cell.figures[name].show(name)


def _found_of_pairs(study: Accumulation) -> str:
    """Whether the second memory took from the first what it gave."""
    words = []
    for mode in study.pairs:
        first = study.asked(mode, "first")
        shown = [first[f"answered_{state}"].show(f"answered_{state}") for state in STATES[1:]]
        words.append(f"with {mode}, {shown[0]} % after its own memory and {shown[1]} % after both")
    return f"The first question is answered: {'; '.join(words)}." if words else "No pair is done."


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
