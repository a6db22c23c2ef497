"""Many runs in one table: what they came to, where they differ, and drawn over each other."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from pmi_kernel.core.result import EvalResult
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.reports.run_table import RunRow, read_run, so_far
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.systems import open_system
from pmi_kernel.systems.baselines.config import ClosedBookConfig, InContextConfig
from widgets import RunsView
from widgets.export import clean
from widgets.figures import overlaid_figure

CONFIGS = {
    "closed": ClosedBookConfig(engine="scripted"),
    "wide": InContextConfig(engine="scripted", topk=10),
    "narrow": InContextConfig(engine="scripted", topk=2),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for place, (name, config) in enumerate(CONFIGS.items()):
        settings = RunSettings(out=root / name, limit=3 + place)
        run(settings, config, system=open_system(config, ScriptedEngine()))
    return root


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def table(view: RunsView) -> list[list[str]]:
    """The table's cells as text, the headings first, without the check-boxes."""
    found = BeautifulSoup(view.html(), "html.parser").select("table.pmi-runs tr")
    return [
        [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])][1:] for row in found
    ]


def boxes(view: RunsView) -> dict[str, Tag]:
    found = BeautifulSoup(view.html(), "html.parser").select("input[type=checkbox]")
    return {str(box["name"]): box for box in found}


def test_runs_stand_side_by_side_with_what_differs(runs: Path) -> None:
    view = RunsView(runs)
    headings, *rows = table(view)
    assert [heading.rstrip(" ▲") for heading in headings[:3]] == ["run", "state", "done"]
    assert {row[0]: row[2] for row in rows} == {
        "closed": "3 of 3",
        "narrow": "5 of 5",
        "wide": "4 of 4",
    }
    assert set(headings[6:]) == {"system", "topk"}  # nothing that is the same everywhere
    told = {row[0]: row[headings.index("topk")] for row in rows}
    assert told == {"closed": "", "narrow": "2", "wide": "10"}
    assert len(BeautifulSoup(view.html(), "html.parser").select(".pmi-interval")) == 6
    assert view.status == "3 runs, 3 drawn."


def test_the_bars_of_an_exported_page_stand_where_the_views_do(runs: Path) -> None:
    def places(markup: str) -> list[str]:
        bars = BeautifulSoup(markup, "html.parser").select(".pmi-interval > *")
        return [str(bar["style"]).rstrip(";") for bar in bars]

    shown = RunsView(runs).html()
    assert len(places(shown)) == 12
    assert places(clean(shown)) == places(shown)


def test_a_heading_sorts_numbers_as_numbers_and_back(runs: Path) -> None:
    view = RunsView(runs)
    view.on_sort({"column": "topk"}, {})
    assert [row[0] for row in table(view)[1:]] == ["narrow", "wide", "closed"]
    view.on_sort({"column": "topk"}, {})
    assert [row[0] for row in table(view)[1:]] == ["wide", "narrow", "closed"]
    view.on_sort({"column": "done"}, {})
    assert [row[0] for row in table(view)[1:]] == ["closed", "wide", "narrow"]


def test_the_check_boxes_choose_what_is_drawn(runs: Path) -> None:
    view = RunsView(runs)
    view.on_pick({}, {"closed": True, "wide": False, "narrow": True})
    view.wait()
    assert view.drawn == ["closed", "narrow"]
    assert "checked" not in boxes(view)["wide"].attrs
    assert "checked" in boxes(view)["closed"].attrs


@pytest.mark.parametrize(("picked", "num_charts"), [({"wide": True}, 1), ({"wide": False}, 0)])
def test_no_chart_is_left_of_runs_that_are_drawn_no_more(
    runs: Path, picked: dict[str, bool], num_charts: int
) -> None:
    code = f"from widgets import RunsView\nview = RunsView({str(runs)!r})\ndisplay(view)\n"
    notebook = new_notebook(
        cells=[new_code_cell(f"{code}view.on_pick({{}}, {picked})\nview.wait()")]
    )
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    saved = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    places = [one["state"]["outputs"] for one in saved.values() if "outputs" in one["state"]]
    assert [len(outputs) for outputs in places] == [num_charts]


def test_a_line_goes_over_the_episodes_in_the_order_of_their_ids(runs: Path) -> None:
    row = read_run(runs / "narrow")
    counts, values = so_far(row, "em")
    ids = sorted(row.results)
    right = [row.results[id_].scores["em"] for id_ in ids]
    assert list(counts) == [1, 2, 3, 4, 5]
    assert values == [sum(right[:count]) / count for count in counts]
    assert list(so_far(row, "seconds")[1])[-1] == pytest.approx(5 * (row.mean_s or 0))
    assert so_far(row, "em", most=2)[0][-1] == 5
    figure = overlaid_figure({name: read_run(runs / name) for name in ("closed", "narrow")})
    assert [len(line.x) for line in figure.data] == [3, 3, 5, 5]
    assert all("<extra>" not in line.name for line in figure.data)


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(runs: Path) -> None:
    (runs / "wide" / "config.json").write_text("{")
    view = RunsView([runs / "closed", runs / "wide", runs / "nowhere", runs / "narrow"])
    assert [Path(row[0]).name for row in table(view)[1:]] == ["closed", "narrow"]
    problems = BeautifulSoup(view.html(), "html.parser").select(".pmi-warn")
    assert len(problems) == 2
    assert "wide" in problems[0].text
    assert "nowhere: no run is there" in problems[1].text


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "missing"):
        view = RunsView(root)
        assert "pmi run --data sample" in view.status
        view.on_refresh()
        view.wait()
        assert "pmi run --data sample" in view.status


def test_lines_that_cannot_be_read_are_counted(runs: Path) -> None:
    for path in (runs / "wide").glob("eval_results*.jsonl"):
        path.write_text("\n".join(["{", *path.read_text().splitlines()[1:], ""]))
    num = len(list((runs / "wide").glob("eval_results*.jsonl")))
    view = RunsView(runs)
    assert {row[0]: row[2] for row in table(view)[1:]}["wide"] == "3 of 4"
    (problem,) = BeautifulSoup(view.html(), "html.parser").select(".pmi-warn")
    assert f"wide: {num} lines of results cannot be read, the first eval_results" in problem.text


def test_refresh_shows_that_a_run_was_killed(tmp_path: Path) -> None:
    """A process that is killed writes nothing any more."""
    code = (
        "import os, signal; from pathlib import Path;"
        "from pmi_kernel.runs import RunSettings, run;"
        "from pmi_kernel.systems.baselines.config import ClosedBookConfig\n"
        "def stop(_): os.kill(os.getpid(), signal.SIGSTOP)\n"
        f"run(RunSettings(out=Path({str(tmp_path / 'run')!r}), limit=3),"
        " ClosedBookConfig(engine='scripted'), on_result=stop)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert os.WIFSTOPPED(os.waitpid(owner.pid, os.WUNTRACED)[1])
        view = RunsView(tmp_path)
        before = table(view)[1:]
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert [row[1] for row in before] == ["running"]
    view.on_refresh()
    view.wait()
    assert [row[1] for row in table(view)[1:]] == ["lost"]


def test_refresh_shows_what_was_written_since(runs: Path) -> None:
    view = RunsView(runs)
    config = CONFIGS["closed"]
    run(
        RunSettings(out=runs / "closed", limit=2),
        config,
        system=open_system(config, ScriptedEngine()),
    )
    run(
        RunSettings(out=runs / "new", limit=1), config, system=open_system(config, ScriptedEngine())
    )
    view.on_refresh()
    view.wait()
    done = {row[0]: row[2].split()[0] for row in table(view)[1:]}
    assert done == {"closed": "5", "wide": "4", "narrow": "5", "new": "1"}


def test_runs_over_other_data_are_said_not_to_compare(made: Path, tmp_path: Path) -> None:
    config = CONFIGS["closed"]
    settings = RunSettings(out=tmp_path / "other", data="first:3:sample")
    run(settings, config, system=open_system(config, ScriptedEngine()))
    view = RunsView([made / "closed", tmp_path / "other"])
    assert (
        view.idle_status()
        == "2 runs, 2 drawn. They are over different data: heights do not compare."
    )
    assert RunsView(tmp_path / "other").idle_status() == "1 run, 1 drawn."


def test_a_hundred_runs_are_a_table(made: Path, tmp_path: Path) -> None:
    for number in range(100):
        shutil.copytree(made / "narrow", tmp_path / f"run-{number:03}")
    view = RunsView(tmp_path)
    assert len(table(view)) == 101
    assert len(view.drawn) == 6
    row: RunRow = read_run(tmp_path / "run-000")
    assert isinstance(next(iter(row.results.values())), EvalResult)
