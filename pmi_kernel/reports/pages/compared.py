"""Runs side by side, as nodes: what was found, scores with intervals, costs, differences."""

from pmi_kernel.core.figures import FIGURES, SCORES
from pmi_kernel.reports.compare import COSTS, Comparison, Difference
from pmi_kernel.reports.pages.figures import figures_node
from pmi_kernel.reports.pages.render import Node, found_node, table_node


def compared_nodes(comparison: Comparison) -> list[Node]:
    """Return what a comparison shows, but for its episodes."""
    scores = [
        ({"run": run.name}, {name: getattr(run, name) for name in SCORES})
        for run in comparison.runs
    ]
    costs = [
        (run.name, *(FIGURES[name].show(getattr(run, name)) for name in COSTS))
        for run in comparison.runs
    ]
    columns = ("run", *(FIGURES[name].label for name in COSTS))
    nodes = [
        found_node("Runs compared", _found(comparison)),
        figures_node("scores", comparison.caption, scores, SCORES, called="episodes"),
        table_node("costs", "Costs of an episode.", columns, costs),
    ]
    if comparison.differences:
        nodes.insert(
            2,
            figures_node(
                "differences",
                "Each run against the first, paired by episode.",
                [(_told(one), {"em": one.em, "f1": one.f1}) for one in comparison.differences],
                ("em", "f1"),
                called="episodes",
            ),
        )
    return nodes


def _told(one: Difference) -> dict[str, str]:
    return {
        "paired difference": f"{one.name} − {one.against}",
        "wins": str(len(one.wins)),
        "losses": str(len(one.losses)),
        "McNemar p": f"{one.mcnemar_p:.3f}",
    }


def _found(comparison: Comparison) -> str:
    """Which runs are told apart by F1, and which are not."""
    if not comparison.differences:
        (run,) = comparison.runs
        return f"{run.name}: F1 {run.f1.show('f1')} % over {run.num_episodes} episodes."
    return " ".join(map(_verdict, comparison.differences))


def _verdict(one: Difference) -> str:
    shown = one.f1.show("f1")
    if one.f1.low <= 0 <= one.f1.high:
        return f"{one.name} and {one.against} cannot be told apart by F1: {shown} points."
    word = "better" if one.f1.mean > 0 else "worse"
    return f"{one.name} is {word} than {one.against} by {shown} points of F1."
