"""The verbs of `pmi` that need Jupyter; the command line finds them by their entry points."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.folder import write_json
from pmi_kernel.core.places import cache_dir, copy_notebooks, source_tree
from widgets.export import export_notebook, export_settings

Say = Callable[[str], object]

_FIRST = "notebooks/00_start_here.ipynb"
_OVERRIDES = {
    # Without their state, the views of a saved notebook would be "model not found".
    "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True},
    # Live views stay in place while they are scrolled out of sight.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
    },
}


def export(words: list[str], say: Say) -> int:
    """Write a notebook as one HTML page."""
    parser = argparse.ArgumentParser(
        "pmi export", description="Write a saved notebook as one HTML page that needs no network."
    )
    parser.add_argument(
        "notebook", type=Path, metavar="NOTEBOOK", help="the notebook, with its outputs saved"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="page to write; by default beside the notebook"
    )
    chosen = parser.parse_args(words)
    if not chosen.notebook.is_file():
        raise DataError(f"{chosen.notebook}: no such notebook")
    html: Path = chosen.html or chosen.notebook.with_suffix(".html")
    html.write_text(export_notebook(chosen.notebook), encoding="utf-8")
    say(f"{html}: one page, {html.stat().st_size / 1000:.0f} kB")
    return 0


def lab(words: list[str], say: Say) -> int:
    """Open JupyterLab at the first notebook; options after it go to JupyterLab.

    That is in a source tree, else in the working directory; `--copy FOLDER` first copies the
    notebooks and the example runs to a folder and opens that.
    """
    own = argparse.ArgumentParser(
        "pmi lab",
        usage="pmi lab [--copy [FOLDER]] [JupyterLab's own options]",
        description="Open the notebooks in JupyterLab, on loopback with a token.",
        epilog="Every other option goes to JupyterLab as it is, and wins over ours: pmi lab "
        "--no-browser --port=9000. `jupyter lab --help` lists JupyterLab's own.",
        allow_abbrev=False,
    )
    own.add_argument(
        "--copy",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="FOLDER",
        help="first copy the notebooks and the example runs to this folder, by default here, and "
        "open that; what is there already is never changed",
    )
    chosen, words = own.parse_known_args(words)
    if chosen.copy is not None:
        copy_notebooks(chosen.copy)
    home = (chosen.copy or source_tree() or Path()).resolve()
    has_notebooks = (home / _FIRST).is_file()
    if not has_notebooks:
        say(f"no notebooks in {home}; `pmi lab --copy FOLDER` brings them")
    settings = cache_dir() / "lab"
    (settings / "labconfig").mkdir(parents=True, exist_ok=True)
    write_json(settings / "labconfig" / "default_setting_overrides.json", _OVERRIDES)
    write_json(settings / "jupyter_nbconvert_config.json", export_settings())
    known = os.environ.get("JUPYTER_CONFIG_PATH")
    paths = [str(settings), *([known] if known else [])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    options = {
        "--ServerApp.ip": "127.0.0.1",
        "--ServerApp.root_dir": str(home),
        "--LabApp.default_url": f"/lab/tree/{_FIRST}" if has_notebooks else "/lab",
        "--LabApp.news_url": "",
    }
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options["--ServerApp.allow_root"] = "True"
    given = {word.split("=")[0] for word in words}
    ours = [f"{name}={value}" for name, value in options.items() if name not in given]
    command = [sys.executable, "-m", "jupyterlab", *ours, *words]
    sys.stdout.flush()
    os.execv(sys.executable, command)
