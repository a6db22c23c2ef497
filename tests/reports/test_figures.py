"""Tables of means with their intervals, and the sentence that says what was found."""

import re
from pathlib import Path

from bs4 import BeautifulSoup

from pmi_kernel.reports.compare import compare
from pmi_kernel.reports.intervals import Interval
from pmi_kernel.reports.pages.compared import compared_nodes
from pmi_kernel.reports.pages.figures import figures_node
from pmi_kernel.reports.pages.render import static_html
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.studies.pages import study_page
from pmi_kernel.studies.recipes import read_study
from pmi_kernel.systems.lexical.config import LexicalConfig


def shown(*nodes: object) -> BeautifulSoup:
    return BeautifulSoup(static_html(nodes), "html.parser")  # type: ignore[arg-type]


def test_what_is_the_same_everywhere_is_said_once() -> None:
    rows = [
        ({"recipe": name, "steps": "24"}, {"em": Interval(0.5, 0.2, 0.8, 6), "f1": one})
        for name, one in (
            ("qa", Interval(0.25, 0.0, 1.0, 6)),
            ("<ntp>", Interval(1.0, 0.6, 1.0, 6)),
        )
    ]
    page = shown(figures_node("t", "What.", rows, ("em", "f1", "sub_em")))
    assert [chip.get_text() for chip in page.select("caption .pmi-chip")] == ["steps 24", "n = 6"]
    heads = [head.get_text() for head in page.select("thead th")]
    assert heads == ["recipe", "EM (%)", "F1 (%)"]  # no row has the other
    assert [head.get_text() for head in page.select("tbody th")] == ["qa", "<ntp>"]
    bar = page.select(".pmi-interval i")[1]["style"]
    assert bar == "margin-left: 0.0%; width: 100.0%"
    assert "n=6" not in page.get_text()


def test_counts_that_differ_stand_in_their_cells_and_negatives_have_room() -> None:
    rows = [
        ({"run": "b"}, {"em": Interval(-0.5, -1.0, 0.0, 4)}),
        ({"run": "c"}, {}),
        ({"run": "d"}, {"em": Interval(0.5, 0.0, 1.0, 3)}),
    ]
    page = shown(figures_node("t", "What.", rows, ("em",)))
    assert [cell.get_text()[-3:] for cell in page.select("small")] == ["n=4", "n=3"]
    assert page.select(".pmi-interval i")[0]["style"] == "margin-left: 0.0%; width: 50.0%"
    assert page.select("tbody td")[1].get_text() == "–"


def test_a_comparison_says_what_it_found(tmp_path: Path) -> None:
    for name, retriever in (("a", "overlap"), ("b", "bm25")):
        run(RunSettings(out=tmp_path / name, limit=12), LexicalConfig(retriever=retriever))
    comparison = compare([tmp_path / "a", tmp_path / "b"])
    page = shown(*compared_nodes(comparison))
    found = page.select_one(".pmi-found")
    assert found is not None
    assert re.search(r"b (is better than a by|and a cannot be told apart by F1)", found.get_text())
    assert len(page.select("table")) == 3


def test_a_study_begins_with_what_it_found_and_ends_with_how(root: Path) -> None:
    text = study_page(read_study(root / "runs" / "example_study"), "pmi study recipes")
    body = text[text.index("<body") :]
    places = [
        body.index(word) for word in ("mixed-24-steps-rank-8 answers", "plotly-graph", "<table")
    ]
    assert places == sorted(places)
    page = BeautifulSoup(body, "html.parser")
    (folded,) = page.select("details")
    assert "pmi study recipes" in folded.get_text()
    assert "To repeat one cell" in folded.get_text()
