"""Notebooks as pages of their own: views become what they show, and nothing asks the network."""

import copy
from pathlib import Path
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from traitlets.config import Config

_VIEW = "application/vnd.jupyter.widget-view+json"


class StaticViews(Preprocessor):
    """Takes widgets out of a notebook wherever they left HTML to show in their place."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook without its live views and their state."""
        nb = copy.deepcopy(nb)
        for cell in nb.cells:
            for output in cell.get("outputs", ()):
                data = output.get("data", {})
                if _VIEW in data and "text/html" in data:
                    del data[_VIEW]
        nb.metadata.pop("widgets", None)
        return nb, resources


def export_settings() -> dict[str, Any]:
    """Return nbconvert's settings for such pages, as its configuration file has them."""
    urls = [name for name in HTMLExporter.class_trait_names() if name.endswith("_url")]
    return {
        "HTMLExporter": {
            **dict.fromkeys(urls, ""),
            "preprocessors": [f"{__name__}.{StaticViews.__name__}"],
        }
    }


def export_notebook(path: Path) -> str:
    """Return a notebook as one HTML page that makes no network request."""
    body, _ = HTMLExporter(config=Config(export_settings())).from_filename(str(path))
    return body
