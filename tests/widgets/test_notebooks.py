"""Every notebook runs from top to bottom as it stands, on the embedded model and sample."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))

WAIT = {"01_single_episode": "view.run_to_injection()\nview.wait()\nprint(view.status)"}
"""What is waited for before the notebook is looked at; its own cells never block."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.model
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert len(notebook.cells) <= 15
    notebook.cells.append(nbformat.v4.new_code_cell(WAIT[path.stem]))
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    shown = str(notebook.cells)
    assert "Error displaying widget" not in shown
    assert "Ready: 3 steps so far." in str(notebook.cells[-1].outputs)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
