"""Every notebook runs from top to bottom as it stands, on the embedded model and sample."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))

LOOK = {
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
        "process.terminate()\nprocess.wait()\n"
        "print(len(study.cells) > 0, list(cards), list(accumulation.pairs))",
        "True ['cloze'] ['stack']",
    ),
}
"""What is waited for and looked at in the end; the notebooks' own cells do not block."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.model
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    shutil.copytree(path.parent, tmp_path / "notebooks")
    for name in ("example", "example_study"):
        shutil.copytree(path.parents[1] / "runs" / name, tmp_path / "runs" / name)
    notebook = nbformat.read(path, as_version=4)
    assert len(notebook.cells) <= 15
    code, expected = LOOK[path.stem]
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    where = {"metadata": {"path": tmp_path / "notebooks"}}
    NotebookClient(notebook, timeout=400, kernel_name="python3", resources=where).execute()
    shown = str(notebook.cells)
    assert "Error displaying widget" not in shown
    assert expected in str(notebook.cells[-1].outputs)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
