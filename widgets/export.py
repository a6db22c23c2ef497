"""Notebooks as pages of their own: they show what is saved, run nothing and ask nobody.

A notebook may come from anyone. Its HTML is cleaned to tags and attributes that only show, and the
page's policy forbids scripts and the network to whatever would be left.
"""

import copy
import re
from pathlib import Path
from typing import Any

import bleach
import nbformat
from bleach.css_sanitizer import ALLOWED_CSS_PROPERTIES, CSSSanitizer
from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode, ValidationError
from traitlets.config import Config

from pmi_kernel.core.errors import DataError
from pmi_kernel.reports.pages.render import STYLE

_SHOWN = {
    *("text/html", "text/markdown", "text/latex", "text/plain", "application/json"),
    *("image/png", "image/jpeg", "image/gif", "image/svg+xml"),  # as pictures, which run nothing
}
"""Kinds of output that a page shows."""

_TAGS = {
    *bleach.ALLOWED_TAGS,
    *"article bdi br button caption dd del details div dl dt figcaption figure footer form".split(),
    *"h1 h2 h3 h4 h5 h6 header hr img input ins kbd label main mark option p path pre".split(),
    *"progress s samp section select small span sub summary sup svg table tbody td".split(),
    *"textarea tfoot th thead tr u var".split(),
}
_ATTRIBUTES = {
    *"align alt checked class colspan cols d dir disabled fill height id lang max min name".split(),
    *"open placeholder role rows rowspan scope selected start step stroke stroke-width".split(),
    *"style tabindex title type value viewBox width".split(),
}
_STYLES = CSSSanitizer(allowed_css_properties={*ALLOWED_CSS_PROPERTIES, "opacity"})

_STYLE_SHEET = re.compile(r"<style\b.*?</style\s*>", re.DOTALL | re.IGNORECASE)
_LINK = re.compile(r"(https?|mailto):|[^:]*([/?#]|$)", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/", re.IGNORECASE)
_IGNORED_IN_ADDRESSES = re.compile(r"[\x00-\x20\x7f-\xa0]+")


class StaticViews(Preprocessor):
    """Takes out of a notebook what a page cannot show: widgets become the HTML beside them."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook with outputs that only show, and without its widgets' state."""
        nb = copy.deepcopy(nb)
        for cell in nb.cells:
            outputs = cell.get("outputs", [])
            for output in outputs:
                for kind in output.get("data", {}).keys() - _SHOWN:
                    del output["data"][kind]
                if "metadata" in output:
                    output["metadata"] = _sizes(output["metadata"])
            outputs[:] = [output for output in outputs if output.get("data", True)]
        nb.metadata.pop("widgets", None)
        return nb, resources


def _sizes(metadata: dict[str, Any]) -> dict[str, Any]:
    """The numbers in an output's metadata: its pictures' sizes."""
    return {
        kind: {name: value for name, value in facts.items() if isinstance(value, int | float)}
        for kind, facts in metadata.items()
        if kind in _SHOWN and isinstance(facts, dict)
    }


def clean(markup: str) -> str:
    """Return HTML that only shows: no script, no handler, nothing from elsewhere."""
    return bleach.clean(
        _STYLE_SHEET.sub("", markup),  # the views' own is in the page's head
        tags=_TAGS,
        attributes=_is_allowed,
        protocols={*bleach.ALLOWED_PROTOCOLS, "data"},
        css_sanitizer=_STYLES,
        strip=True,
    )


def _is_allowed(tag: str, name: str, value: str) -> bool:
    address = _IGNORED_IN_ADDRESSES.sub("", value)
    if name == "href":
        return tag == "a" and _LINK.match(address) is not None
    if name == "src":
        return tag == "img" and _PICTURE.match(address) is not None
    return name in _ATTRIBUTES or name.startswith(("aria-", "data-"))


def export_settings() -> dict[str, Any]:
    """Return nbconvert's settings for such pages, as its configuration file has them."""
    return {
        "HTMLExporter": {
            "extra_template_basedirs": [str(Path(__file__).parent / "nbconvert")],
            "extra_template_paths": [str(STYLE.parent)],
            "filters": {"clean_html": f"{__name__}.{clean.__name__}"},
            "preprocessors": [f"{__name__}.{StaticViews.__name__}"],
            "sanitize_html": True,
            "template_name": "pmi",
        }
    }


def export_notebook(path: Path) -> str:
    """Return a notebook as one HTML page that runs no script and makes no network request.

    Raises:
        DataError: The file is no notebook.
    """
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(notebook)
    except (ValueError, ValidationError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a notebook ({str(error).splitlines()[0]})") from None
    exporter = HTMLExporter(config=Config(export_settings()))
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    return body
