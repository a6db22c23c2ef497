"""A table of means, each with its 95 % interval as a bar."""

from collections.abc import Mapping, Sequence
from typing import Any

from pmi_kernel.core.figures import FIGURES, Average
from pmi_kernel.reports.intervals import Interval
from pmi_kernel.reports.pages.render import Node

Row = tuple[Mapping[str, str], Mapping[str, Interval]]
"""What a row is, by the heading of each column, and its figures by name."""


def figures_node(
    key: str, caption: str, rows: Sequence[Row], names: Sequence[str], *, called: str = "n"
) -> Node:
    """Return such a table; what is the same in all rows is said once, above it.

    Args:
        key: Of the node.
        caption: What the table shows.
        rows: What it shows.
        names: The figures, in `FIGURES`, in the order of their columns; one that no row has is
            left out.
        called: What is counted.
    """
    labels = list(dict.fromkeys(label for told, _ in rows for label in told))
    same = {
        label: values.pop()
        for label in labels
        if len(rows) > 1 and len(values := {told.get(label, "") for told, _ in rows}) == 1
    }
    shown = [name for name in names if any(name in found for _, found in rows)]
    counts = {one.n for _, found in rows for name, one in found.items() if name in shown}
    told = [f"{label} {value}" for label, value in same.items()]
    if len(counts) == 1:
        (count,) = counts
        told.append(f"n = {count}" if called == "n" else f"{count} {called}")
    columns = [column_of(name, [found.get(name) for _, found in rows]) for name in shown]
    return Node(
        key,
        "figures.html",
        {
            "caption": caption,
            "same": told,
            "labels": [label for label in labels if label not in same],
            "columns": columns,
            "rows": [
                {
                    "labels": [told.get(label, "") for label in labels if label not in same],
                    "cells": [column["cells"][place] for column in columns],
                }
                for place, (told, _) in enumerate(rows)
            ],
            "is_n_told": len(counts) > 1,
        },
    )


def column_of(name: str, found: Sequence[Interval | None]) -> dict[str, Any]:
    """A column's heading, and each cell's text and where its bar lies, in percent of its width."""
    figure = FIGURES[name]
    there = [one for one in found if one]
    low = min([0.0, *(one.low for one in there)])
    high = max([0.0, *(one.high for one in there)])
    if figure.average is Average.SHARE:  # a difference of shares may be negative
        low, high = -1.0 if low < 0 else 0.0, 1.0
    width = (high - low) or 1.0

    def at(value: float) -> float:
        return 100 * (value - low) / width

    cells: list[dict[str, Any] | None] = []
    for one in found:
        if one is None:
            cells.append(None)
            continue
        mean, _, interval = one.show(name).partition(" ")
        bar = {"from": at(one.low), "width": at(one.high) - at(one.low), "mean": at(one.mean)}
        cells.append({"mean": mean, "interval": interval, "n": one.n, "bar": bar})
    return {"heading": figure.heading, "cells": cells}
