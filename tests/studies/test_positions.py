"""The position curve: the same questions, the gold document at one place after the other."""

from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.reports.positions import by_position
from pmi_kernel.runs import read_results
from pmi_kernel.studies.positions import places_of, run_positions
from pmi_kernel.systems.lexical.config import LexicalConfig
from widgets import PositionCurve

SYSTEMS = {
    "all": LexicalConfig(topk=9),
    "first": LexicalConfig(topk=1, retriever="given"),
}
SOURCE = "first:4:sample"


def test_each_system_answers_with_the_gold_document_at_each_place(tmp_path: Path) -> None:
    runs = list(run_positions(SYSTEMS, SOURCE, tmp_path, num_docs=(5,)))
    assert [run.name for run in runs] == [
        f"{name}-5-{place}" for name in SYSTEMS for place in (0, 2, 4)
    ]
    found = by_position(runs)
    assert {one.gold_position for one in found.points} == {0, 2, 3}  # two gold documents
    first = [read_results(run) for run in runs[3:]]
    assert len({tuple(one) for one in first}) == 1
    again = list(run_positions(SYSTEMS, SOURCE, tmp_path, num_docs=(5,)))
    assert again == runs


def test_places_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of 3 documents the last is 2"):
        list(run_positions(SYSTEMS, SOURCE, tmp_path, num_docs=(3,), places=(3,)))
    assert places_of(20) == (0, 4, 9, 14, 19)
    assert places_of(1) == (0,)


def test_the_curve_is_drawn_while_it_is_measured(tmp_path: Path) -> None:
    view = PositionCurve(SYSTEMS, SOURCE, tmp_path, num_docs=(4,), places=(0, 1))
    view.wait()
    assert len(view.runs) == 4
    assert "gold at" in view.html()
    assert view.status == "4 of 4 places measured."
