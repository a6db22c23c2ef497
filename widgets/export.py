"""Notebooks as pages of their own: they show what is saved, run nothing and ask nobody.

A notebook may come from anyone. Its HTML is cleaned to tags and attributes that only show, and the
page's policy forbids scripts and the network to whatever would be left.
"""

import copy
import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import bleach
import nbformat
from bleach.css_sanitizer import ALLOWED_CSS_PROPERTIES, CSSSanitizer
from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode, ValidationError
from plotly.offline import get_plotlyjs
from traitlets.config import Config

from pmi_kernel.core.errors import DataError
from pmi_kernel.reports.pages.render import STYLE

_VIEW, _CHART = "application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json"
_STATE = "application/vnd.jupyter.widget-state+json"
_FIGURES = "pmi_figures"

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
    *"text textarea tfoot th thead tr u var".split(),
}
_ATTRIBUTES = {
    *"align alt autocomplete checked class colspan cols d dir disabled fill height id lang".split(),
    *"max min name open placeholder role rows rowspan scope selected spellcheck start step".split(),
    *"stroke stroke-width style tabindex text-anchor title type value viewBox width x y".split(),
}
_STYLES = CSSSanitizer(allowed_css_properties={*ALLOWED_CSS_PROPERTIES, "margin-left", "opacity"})

_STYLE_SHEET = re.compile(r"<style\b.*?</style\s*>", re.DOTALL | re.IGNORECASE)
_LINK = re.compile(r"(https?|mailto):|[^:]*([/?#]|$)", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/", re.IGNORECASE)
_IGNORED_IN_ADDRESSES = re.compile(r"[\x00-\x20\x7f-\xa0]+")


class StaticViews(Preprocessor):
    """Takes out of a notebook what a page cannot show.

    A view becomes the HTML of its saved state, which is what was on the screen; where that is not
    saved, the HTML beside it. A chart becomes the picture beside it, with its caption; without a
    picture it becomes a place for `_with_charts` to draw it in.
    """

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook with outputs that only show, and without its widgets' state."""
        nb = copy.deepcopy(nb)
        states, figures = _states(nb), resources.setdefault(_FIGURES, [])
        for cell in nb.cells:
            outputs = cell.get("outputs", [])
            for output in outputs:
                _as_on_screen(output.get("data", {}), states, figures)
                for kind in output.get("data", {}).keys() - _SHOWN:
                    del output["data"][kind]
                if "metadata" in output:
                    output["metadata"] = _sizes(output["metadata"])
            outputs[:] = [output for output in outputs if output.get("data", True)]
        nb.metadata.pop("widgets", None)
        return nb, resources


def _states(nb: NotebookNode) -> dict[str, Any]:
    """The state of each widget, by its id; what is no state is left out."""
    saved = nb.metadata.get("widgets", {})
    found = saved.get(_STATE, {}) if isinstance(saved, dict) else {}
    states = found.get("state", {}) if isinstance(found, dict) else {}
    if not isinstance(states, dict):
        return {}
    return {id_: one["state"] for id_, one in states.items() if isinstance(one.get("state"), dict)}


def _as_on_screen(data: dict[str, Any], states: Mapping[str, Any], figures: list[Any]) -> None:
    """Put what was on the screen in the place of what was saved beside it."""
    view = data.get(_VIEW)
    state = states.get(str(view.get("model_id")), {}) if isinstance(view, dict) else {}
    match state.get("outputs"):
        case [{"data": dict(drawn)}, *_]:  # of a chart's place
            data.clear()
            data.update(drawn)
    if (nodes := state.get("nodes")) and (shown := _html(nodes)):
        data["text/html"] = f'<div class="pmi pmi-static">{shown}</div>'
    picture = data.get("image/png")
    caption = _joined(data.get("text/html", ""))
    if _CHART in data and not isinstance(picture, str):
        data["text/html"] = f'<figure><div data-figure="{len(figures)}"></div>{caption}</figure>'
        figures.append(data[_CHART])
    elif _CHART in data:
        source = f"data:image/png;base64,{''.join(str(picture).split())}"
        data["text/html"] = f'<figure><img alt="" src="{source}">{caption}</figure>'
        del data["image/png"]


def _html(nodes: object) -> str:
    """The HTML of saved nodes, each with its children in its slot; what is no node is left out."""
    if not isinstance(nodes, list):
        return ""
    parts = []
    for node in nodes:
        if isinstance(node, dict) and isinstance(node.get("html"), str):
            before, slot, after = node["html"].partition("data-slot>")
            parts.append(before + slot + (_html(node.get("children")) if slot else "") + after)
    return "".join(parts)


def _joined(text: object) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


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
    """Return a notebook as one HTML page that makes no network request.

    It runs no script, but for plotly's where it has charts that no picture was saved of.

    Raises:
        DataError: The file is no notebook.
    """
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(notebook)
    except (ValueError, ValidationError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a notebook ({str(error).splitlines()[0]})") from None
    exporter = HTMLExporter(config=Config(export_settings()))
    body, resources = exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})
    figures = resources.get(_FIGURES)
    return _with_charts(body, figures) if figures else str(body)


_DRAW = """
const figures = JSON.parse(document.getElementById("pmi-figures").textContent);
for (const place of document.querySelectorAll("[data-figure]")) {
  const figure = figures[Number(place.dataset.figure)];
  if (figure) Plotly.newPlot(place, figure.data, figure.layout, {responsive: true});
}
"""


def _with_charts(body: str, figures: Sequence[Any]) -> str:
    """A page that draws its charts: the policy lets these very scripts run, and no other."""
    scripts = (get_plotlyjs(), _DRAW)
    digests = (b64encode(sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    told = json.dumps(figures).replace("<", "\\u003c")
    end = f'<script type="application/json" id="pmi-figures">{told}</script>'
    end += "".join(f"<script>{script}</script>" for script in scripts)
    head = body.replace("default-src 'none';", f"default-src 'none'; script-src {allowed};", 1)
    before, mark, after = head.rpartition("</body>")
    return before + end + mark + after
