"""Every notebook runs from top to bottom."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.waiting import within

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))

LOOK = {
    "00_start_here": (
        'print(*(type(view).__name__ for view in home.open_job("../runs/example")))',
        "RunCharts Replay",
    ),
    "01_single_episode": (
        "view.run_to_injection()\nview.wait()\nprint(view.status)",
        "Ready: 3 steps so far.",
    ),
    "02_batch_evaluation": (
        "state = job.wait()['state']\ncharts.on_refresh()\ncharts.wait()\n"
        "print(state, charts.status)",
        "done Ready.",
    ),
    "03_compare_runs": ("print(view.comparison.runs[0].num_episodes)", "20"),
    "04_injection_study": (
        "job.cancel(is_forced=True, wait_s=60)\n"
        "print(len(study.cells) > 0, list(cards), list(accumulation.pairs))",
        "True ['cloze'] ['stack']",
    ),
    "05_retrievable_gradients": (
        "view.run()\nview.wait()\nmixer.wait()\njob.cancel(is_forced=True, wait_s=60)\n"
        "print(len(mixer.answers), *(str(step.kind) for step in view.traces[0].steps))",
        "1 search gradients inject answer",
    ),
    "06_latent_bottleneck": (
        "view.run()\nview.wait()\ncurves.wait()\njob.cancel(is_forced=True, wait_s=60)\n"
        "print(len(curves.points), *(str(step.kind) for step in view.traces[0].steps))",
        "14 search encode select closed answer",
    ),
    "07_scratchpad": (
        "view.run()\nview.wait()\ncurve.wait()\njob.cancel(is_forced=True, wait_s=60)\n"
        "print(len(curve.runs), *(str(step.kind) for step in view.traces[0].steps))",
        "6 search direct scratchpad answer",
    ),
}
"""What is waited for and looked at in the end; the notebooks' own cells do not block."""

SETTINGS = re.compile(
    r'(?<!Train)Config\(|RegradTraining\(|Setup\(\s*"(?:sample|world:[^"]*)",'
    r'|preset\(\s*"scratchpad", "\w+",|build_samples\(load_examples\("[^"]*"\), None,'
)
"""Where a notebook says which model it uses."""
NO_OTHER_MODEL = ("00_start_here", "06_latent_bottleneck")
"""Notebooks that name no model: the one starts no system, the other's comes with the workbench."""
START = re.compile(r'RegradConfig\(|system="regrad",')
"""Where it says which start its steps are taken from, or could."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
pytestmark = pytest.mark.filterwarnings("ignore")


@every_notebook
def test_a_notebook_runs_on_another_model(
    path: Path, tmp_path: Path, tiny: str, trained: Path
) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert len(notebook.cells) <= 15
    num_changed = 0
    for cell in notebook.cells if path.stem not in NO_OTHER_MODEL else ():
        cell.source, found = SETTINGS.subn(rf"\g<0>model={tiny!r}, ", cell.source)
        cell.source = START.sub(rf"\g<0>checkpoint={str(trained)!r}, ", cell.source)
        num_changed += found
    assert num_changed or path.stem in NO_OTHER_MODEL
    check_runs(path, notebook, tmp_path, within(20))


@pytest.mark.slow
@pytest.mark.model
@every_notebook
def test_a_notebook_runs_as_it_stands(path: Path, tmp_path: Path) -> None:
    check_runs(path, nbformat.read(path, as_version=4), tmp_path, within(100))


def check_runs(path: Path, notebook: nbformat.NotebookNode, home: Path, cell_s: float) -> None:
    """Run it in a copy of its surroundings, at most so long a cell, and look at the end."""
    (home / "runs").mkdir()
    shutil.copytree(path.parent, home / "notebooks")
    for name in ("example", "example_study"):
        shutil.copytree(path.parents[1] / "runs" / name, home / "runs" / name)
    code, expected = LOOK[path.stem]
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    where = {"metadata": {"path": home / "notebooks"}}
    NotebookClient(notebook, timeout=cell_s, kernel_name="python3", resources=where).execute()
    assert "Error displaying widget" not in str(notebook.cells)
    assert expected in str(notebook.cells[-1].outputs)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
