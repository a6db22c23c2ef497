"""From data to HTML, once for every place: the live widget, a saved notebook, a page of its own.

What is shown is a tree of nodes. Each is a Jinja template with its data, escaped by construction
(text from documents and models is never markup), and has a key, so that a live view replaces only
the nodes that changed and what was open or in focus stays so.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from pmi_kernel.core.visible import visible, visible_line

STYLE = Path(str(files("pmi_kernel.reports.pages") / "static" / "workbench.css"))
"""The style sheet of all pages and views."""


RUN_SCRIPT = STYLE.with_name("run.js")
"""The script of the page of a whole run."""

READ_SCRIPT = STYLE.with_name("read.js")
"""How one finds one's way in a trace: of pages, and of live views."""


@dataclass(frozen=True, slots=True)
class Node:
    """One piece of a view.

    Attributes:
        key: Its name, unique among its siblings and the same in every update.
        template: File under `templates/`; has one root element, and one `slot()` where it takes
            children.
        data: What the template shows.
        children: Nodes shown in its slot.
    """

    key: str
    template: str
    data: dict[str, Any] = field(default_factory=dict)
    children: Sequence["Node"] = ()

    def html(self) -> Markup:
        """Return the node with all below it as HTML."""
        inner = Markup("").join(child.html() for child in self.children)
        return self._render(inner)

    def state(self) -> dict[str, Any]:
        """Return the node as the live view takes it: key, own HTML, children."""
        return {
            "key": self.key,
            "html": str(self._render(Markup(""))),
            "children": [child.state() for child in self.children],
        }

    def _render(self, inner: Markup) -> Markup:
        template = _environment().get_template(self.template)
        slot = Markup("data-slot>{}").format(inner)
        return Markup(template.render(self.data, key=self.key, slot=slot).strip())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pmi_kernel.reports.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["signed"] = lambda value, digits=2: f"{value:+.{digits}f}".replace("-", "−")
    environment.filters["seconds"] = seconds
    environment.filters["size"] = size
    return environment


def _shown(value: object) -> object:
    """What a template shows of a value; what is HTML already is left, so `|e` keeps an id exact."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def seconds(value: float) -> str:
    """Return a duration in a fitting unit."""
    if value < 0.0995:
        return f"{1000 * value:.1f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"


def size(num_bytes: float) -> str:
    """Return a size in a fitting unit."""
    for unit in ("bytes", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} GB"


def table_node(
    key: str, caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> Node:
    """Return a table."""
    return Node(key, "table.html", {"caption": caption, "columns": columns, "rows": rows})


def found_node(title: str, found: str) -> Node:
    """Return a heading, with one sentence that says what was found."""
    return Node("found", "found.html", {"title": title, "found": found})


def fold_node(key: str, title: str, nodes: Sequence[Node]) -> Node:
    """Return nodes that are shown when their title is clicked."""
    return Node(key, "fold.html", {"title": title}, nodes)


def static_html(nodes: Sequence[Node]) -> str:
    """Return nodes as HTML that needs no script, with the style sheet in it."""
    body = Markup("").join(node.html() for node in nodes)
    style = Markup(_style())
    return str(Markup('<style>{}</style><div class="pmi pmi-static">{}</div>').format(style, body))


@cache
def _style() -> str:
    """The style sheet without comments and indentation: it is in every page."""
    text = re.sub(r"/\*.*?\*/", "", STYLE.read_text(encoding="utf-8"), flags=re.DOTALL)
    bare = re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"\s+", " ", text))
    return bare.replace(": ", ":").strip()


def _script(path: Path) -> str:
    """A script without indentation, and without the comments that have a line of their own."""
    text = re.sub(
        r"^\s*(//.*|/\*\*.*\*/)\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return re.sub(r"^\s+", "", text, flags=re.MULTILINE)


def page(
    title: str,
    nodes: Sequence[Node],
    *,
    pictures: str = "",
    below: Sequence[Node] = (),
    scripts: Sequence[Path] = (),
    data: object = None,
) -> str:
    """Return a whole HTML page that asks the network for nothing.

    Args:
        title: Its title.
        nodes: What it shows.
        pictures: HTML of plotly's own making, script and all, shown under them.
        below: What it shows under the pictures.
        scripts: Scripts of ours, and then the only ones that may run; without them and pictures
            the page may run none.
        data: What they read as JSON in the element `pmi-data`.
    """
    allowed = "; script-src 'unsafe-inline'" if pictures else ""
    run = ""
    if scripts:
        code = "\n".join(map(_script, scripts))
        sha256 = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        allowed = f"; script-src 'sha256-{sha256}'"
        kept = htmlsafe_json_dumps(data)
        told = f'<script type="application/json" id="pmi-data">{kept}</script>' if data else ""
        run = f"{told}<script>{code}</script>"
    return str(
        Markup(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "style-src 'unsafe-inline'; img-src data:{}\"><title>{}</title></head>\n"
            '<body class="pmi-page"><main>{}{}{}{}</main></body></html>\n'
        ).format(
            Markup(allowed),
            visible_line(title),
            Markup(static_html(nodes)),
            Markup(pictures),
            Markup(static_html(below) if below else ""),
            Markup(run),
        )
    )
