"""A notebook from anyone as a page: it shows what is saved, and does nothing."""

import json
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Page

from pmi_kernel.cli import main
from pmi_kernel.reports.pages.render import static_html
from pmi_kernel.reports.recording import Recording
from tests.widgets.jupyter import Watch
from widgets.export import clean, export_notebook

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
ELSEWHERE = "http://127.0.0.1:9/elsewhere"

HOSTILE = f"""# A title & <b>bold</b>

<script>window.hacked = 1</script>
<img src=x onerror="window.hacked = 2"> ![picture]({ELSEWHERE}.png) ![kept](data:image/png;base64,{PIXEL})
[link](javascript:window.hacked=3) [kept link](https://example.org/a?b=c)
<a href="java&#10;script:window.hacked=4" ping="{ELSEWHERE}">x</a>
<a href="data:text/html,<script>window.hacked=5</script>">x</a>
<svg onload="window.hacked=6"><script>window.hacked=7</script><image href="{ELSEWHERE}"/></svg>
<iframe src="{ELSEWHERE}" srcdoc="<script>parent.hacked=8</script>"></iframe>
<meta http-equiv="refresh" content="0; url={ELSEWHERE}">
<link rel="stylesheet" href="{ELSEWHERE}"><link rel="preconnect" href="{ELSEWHERE}">
<style>@import "{ELSEWHERE}"; p {{ background: url({ELSEWHERE}) }}</style>
<p style="background: url({ELSEWHERE}); color: red">styled</p>
<form action="{ELSEWHERE}"><input formaction="{ELSEWHERE}" autofocus onfocus="window.hacked=9"></form>
<object data="{ELSEWHERE}"></object><embed src="{ELSEWHERE}"><video poster="{ELSEWHERE}"></video>
<math><mtext><table><mglyph><style><img src=x onerror="window.hacked=10"></style></mglyph></table></mtext></math>

    code with a < b && c

> a quotation
"""  # noqa: E501


def notebook(*outputs: dict[str, object], markdown: str = HOSTILE) -> nbformat.NotebookNode:
    shown = [
        nbformat.v4.new_output("display_data", data=data, metadata=metadata)
        for data in outputs
        for metadata in [data.pop("metadata", {})]
    ]
    cells = [
        nbformat.v4.new_markdown_cell(markdown),
        nbformat.v4.new_code_cell("print('<script>')", outputs=shown),
        nbformat.v4.new_raw_cell(markdown, metadata={"raw_mimetype": "text/html"}),
    ]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture
def exported(root: Path, tmp_path: Path) -> str:
    recording = Recording(root / "runs" / "example")
    view = static_html(recording.nodes(recording.ids[0]))
    script = "window.hacked = 11"
    path = tmp_path / "hostile.ipynb"
    outputs: list[dict[str, object]] = [
        {"text/html": HOSTILE},
        {"text/markdown": HOSTILE},
        {"application/javascript": script, "text/plain": "plain"},
        {"text/vnd.mermaid": f"</pre><script>{script}</script>"},
        {"image/png": PIXEL, "metadata": {"image/png": {"width": f"1 onload={script}"}}},
        {
            "image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg'><script>{script}</script></svg>"
        },
        {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/html": view},
    ]
    nbformat.write(notebook(*outputs), path)
    with pytest.raises(SystemExit) as end:
        main(["export", str(path)])
    assert end.value.code == 0
    return path.with_suffix(".html").read_text()


def test_nothing_in_an_exported_page_runs_or_asks_for_anything(exported: str) -> None:
    page = BeautifulSoup(exported, "html.parser")
    assert not page.find_all(
        ["script", "iframe", "object", "embed", "link", "video", "base", "image", "math"]
    )
    assert [meta["http-equiv"] for meta in page.find_all("meta", {"http-equiv": True})] == [
        "Content-Security-Policy"
    ]
    for element in page.find_all(True):
        for name, value in element.attrs.items():
            assert not name.startswith("on"), element
            assert name not in ("action", "formaction", "ping", "srcdoc", "poster"), element
            if name == "src":
                assert str(value).startswith("data:image/"), element
            if name == "href":
                assert element.name == "a"
                assert not str(value).startswith(("java", "data")), element
        assert "url(" not in str(element.get("style", ""))


def test_what_an_exported_page_should_show_is_there(exported: str) -> None:
    page = BeautifulSoup(exported, "html.parser")
    assert page.find("b").text == "bold"
    assert page.find("blockquote").text.strip() == "a quotation"
    assert "code with a < b && c" in page.find("pre", string=lambda t: t and "code with" in t).text
    assert page.find("a", string="kept link")["href"] == "https://example.org/a?b=c"
    assert page.find("img", alt="kept")["src"].startswith("data:image/png;base64,")
    assert page.find("p", string="styled")["style"] == "color: red;"
    assert page.select(".pmi.pmi-static .pmi-answer-step")
    assert page.select(".pmi svg path[d]")
    assert page.select(".pmi .pmi-bar[style*=width]")
    assert page.select(".pmi .pmi-norms span[style*=opacity]")
    assert ".pmi-step" in exported[: exported.index("<body")]


def test_a_view_is_the_same_after_cleaning(root: Path) -> None:
    recording = Recording(root / "runs" / "example")
    view = static_html(recording.nodes(recording.ids[0])).split("</style>")[1]

    def shape(markup: str) -> list[tuple[str, dict[str, object], str]]:
        elements = BeautifulSoup(markup, "html.parser").find_all(True)
        return [(e.name, {**e.attrs, "style": bool(e.get("style"))}, e.text) for e in elements]

    assert shape(clean(view)) == shape(view)


def test_an_exported_page_is_harmless_in_a_browser(exported: str, page: Page, watch: Watch) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("about:blank")
    page.set_content(exported)
    page.get_by_text("End: answered").last.wait_for()
    page.get_by_text("x", exact=True).first.click()
    assert page.evaluate("window.hacked") is None
    assert [url for url in asked if not url.startswith(("data:", "about:"))] == []
    assert watch.off_loopback == []


NO_CELL = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [None]})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"nbformat": 4}', '{"nbformat": 99}', "\x00", NO_CELL],
)
def test_what_is_no_notebook_is_told(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no.ipynb"
    path.write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["export", str(path)])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"pmi: {path}: not a notebook")


def test_a_page_shows_a_view_as_it_was_on_the_screen(root: Path, tmp_path: Path) -> None:
    """What is saved beside a view may be older than its state."""
    recording = Recording(root / "runs" / "example")
    old, new = (recording.nodes(id_) for id_ in recording.ids[:2])
    saved = notebook(
        {
            "application/vnd.jupyter.widget-view+json": {"model_id": "v"},
            "text/html": static_html(old),
        },
        {"application/vnd.jupyter.widget-view+json": {"model_id": "w"}, "text/html": "<p>kept</p>"},
        markdown="",
    )
    state = {
        "v": {"state": {"nodes": [node.state() for node in new]}},
        "w": {"state": {"nodes": 3}},
    }
    saved.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    path = tmp_path / "view.ipynb"
    nbformat.write(saved, path)
    shown = BeautifulSoup(export_notebook(path), "html.parser")
    (view,) = shown.select(".pmi-static")
    whole = BeautifulSoup(clean(static_html(new)), "html.parser")
    assert view.get_text() == whole.get_text()
    assert recording.trace(recording.ids[0]).task.question not in shown.get_text()
    assert "kept" in shown.get_text()


def test_a_page_has_the_charts_as_pictures(tmp_path: Path) -> None:
    path = tmp_path / "chart.ipynb"
    drawn = {
        "application/vnd.plotly.v1+json": {"data": [], "layout": {}},
        "image/png": PIXEL,
        "text/html": "<p><em>The caption</em></p>",
    }
    nbformat.write(notebook(drawn, markdown=""), path)
    shown = BeautifulSoup(export_notebook(path), "html.parser")
    (figure,) = shown.select("figure")
    assert figure.get_text().strip() == "The caption"
    assert figure.select("img")[0]["src"] == f"data:image/png;base64,{PIXEL}"


def test_charts_without_a_picture_are_drawn_by_plotlys_script_alone(
    tmp_path: Path, page: Page, watch: Watch
) -> None:
    """The policy of such a page names its two scripts; what else a notebook brings does not run."""
    figure = {"data": [{"type": "bar", "y": [1, 2]}], "layout": {"title": {"text": "</script>T"}}}
    place = {
        "outputs": [
            {
                "output_type": "display_data",
                "data": {"application/vnd.plotly.v1+json": figure, "text/html": "<em>words</em>"},
            }
        ]
    }
    saved = notebook(
        {"application/vnd.jupyter.widget-view+json": {"model_id": "c"}, "text/plain": "Output()"}
    )
    saved.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {"state": {"c": {"state": place}}}
    }
    path = tmp_path / "charts.ipynb"
    nbformat.write(saved, path)
    page.set_content(export_notebook(path))
    page.locator(".js-plotly-plot .bars path").first.wait_for()
    assert page.locator("figure em").inner_text() == "words"
    assert page.evaluate("window.hacked") is None
