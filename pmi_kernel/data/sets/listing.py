"""The registry as text."""

from collections.abc import Iterable

from pmi_kernel.core.scoring import METRICS
from pmi_kernel.data.sets.dataset import DataSet


def list_sets(sets: Iterable[DataSet]) -> str:
    """Return a line for each set, and for what comes with the workbench."""
    rows = [
        (
            "set",
            "domain",
            "answers",
            "metric",
            "index",
            "here",
            "records (dev, train)",
        ),
        *(
            (
                entry.name,
                entry.domain,
                entry.kind.value,
                METRICS[entry.metric].own or "EM, F1",
                entry.index or "-",
                ", ".join(name for name in entry.splits if entry.path(name).is_file()) or "-",
                ", ".join(_count(split.num_records) for split in entry.splits.values()),
            )
            for entry in sets
        ),
        ("sample", "own", "free", "EM, F1", "-", "dev", "60"),
        ("world:...", "own", "free", "EM, F1", "-", "made as read", "up to 100,000"),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "",
            "--data SET is its dev split, --data SET-train the other; `pmi data list SET` tells "
            "where it is from and how to get it.",
        ]
    )


def describe_set(entry: DataSet) -> str:
    """Return all that the registry knows of a set."""
    metric = METRICS[entry.metric]
    return "\n".join(
        [
            f"{entry.name} ({entry.domain})",
            f"  source    {entry.source}",
            f"  licence   {entry.licence}",
            f"  layouts   {', '.join(entry.layouts)}, augmented",
            f"  answers   {entry.kind.value}",
            f"  metric    {metric.source}",
            f"  index     {entry.index or 'none: its questions have paragraphs'}",
            *(
                f"  {name:8}  {entry.path(name)} "
                f"({'here' if entry.path(name).is_file() else 'not here'}; "
                f"{_count(split.num_records)} records)"
                for name, split in entry.splits.items()
            ),
            f"  to get    {entry.to_get()}",
        ]
    )


def _count(number: int | None) -> str:
    return "not known" if number is None else f"{number:,}"
