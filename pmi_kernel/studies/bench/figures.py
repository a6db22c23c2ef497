"""What benchmarks share: the engines to choose from, and how figures are shown and kept."""

import json
from pathlib import Path
from typing import Literal, get_args

from pmi_kernel.reports.tables import render_table

EngineName = Literal["hf", "vllm"]
"""Engines with a model."""

Dtype = Literal["float32", "bfloat16"]
"""Number formats."""

ENGINES: tuple[EngineName, ...] = get_args(EngineName)


def show_figures(figures: dict[str, float], out: Path | None) -> dict[str, float]:
    """Print figures as a table, write them as JSON where asked, and return them."""
    print(render_table(("figure", "value"), [(k, f"{v:.6g}") for k, v in figures.items()]))
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures
