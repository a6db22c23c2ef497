"""The verbs of `pmi` that need the widgets."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.places import copy_notebooks, source_tree
from pmi_kernel.core.visible import visible_line
from pmi_kernel.reports.pages.render import page
from widgets.replay import Recording

_FIRST = "notebooks/01_single_episode.ipynb"
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


def show(words: Sequence[str]) -> int:
    """Show one recorded episode, as text or as a page of its own."""

    def arguments(
        run: Annotated[Path, tyro.conf.Positional],
        episode_id: Annotated[str | None, tyro.conf.Positional] = None,
        html: Path | None = None,
    ) -> tuple[Path, str | None, Path | None]:
        """Show one recorded episode; without an id, list the run's episodes.

        Args:
            run: Run directory, or a file of traces.
            episode_id: The episode.
            html: Write a page that needs neither a network nor a script to this file.
        """
        return run, episode_id, html

    run, episode_id, html = parse(arguments, list(words), "show")
    recording = Recording(run)
    if episode_id is None:
        for known in recording.ids:
            result = recording.results.get(known)
            say(visible_line(f"{known}  {result.prediction}" if result else known))
        if unreadable := recording.unreadable:
            say(f"{len(unreadable)} lines cannot be read, the first {unreadable[0]}", is_error=True)
        return 0
    if html is None:
        from pmi_kernel.reports.pages.text import render_trace

        say(render_trace(recording.trace(episode_id), recording.results.get(episode_id)))
        return 0
    title, nodes = recording.trace(episode_id).task.question, recording.nodes(episode_id)
    html.write_text(page(title, nodes), encoding="utf-8")
    say(f"{html}: one page, {html.stat().st_size / 1000:.0f} kB")
    return 0


def compare(words: Sequence[str]) -> int:
    """Compare runs on the episodes that they share."""

    def arguments(
        runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
        force: bool = False,
        csv: Path | None = None,
        latex: Path | None = None,
        html: Path | None = None,
    ) -> tuple[tuple[Path, ...], bool, dict[str, Path | None]]:
        """Compare runs on the episodes that they share; each is held against the first.

        Args:
            runs: Run directories.
            force: Compare runs over different data files too, by episode id.
            csv: Write the table here, as CSV.
            latex: Write the table here, as LaTeX.
            html: Write a page that needs no network here.
        """
        return runs, force, {"csv": csv, "latex": latex, "html": html}

    from pmi_kernel.reports.compare import compare as compare_runs
    from pmi_kernel.reports.report import render_comparison
    from widgets.compare_view import comparison_nodes

    runs, is_forced, targets = parse(arguments, list(words), "compare")
    if not runs:
        raise ConfigError("name one run or more")
    comparison = compare_runs(runs, is_forced=is_forced)
    say(render_comparison(comparison))
    texts = {
        "csv": lambda: comparison.frame().to_csv(index=False),
        "latex": lambda: comparison.frame().to_latex(index=False, float_format="%.2f", escape=True),
        "html": lambda: page("Runs compared", comparison_nodes(comparison)),
    }
    for kind, path in targets.items():
        if path is not None:
            path.write_text(texts[kind](), encoding="utf-8")
            say(f"written to {path}")
    return 0


def study(words: Sequence[str]) -> int:
    """Study what is learned from weights alone: by recipe, or by a second memory on a first."""
    kinds: dict[str, Callable[[list[str]], tuple[Path, str, Collection[str]]]] = {
        "recipes": _study_recipes,
        "accumulation": _study_accumulation,
    }
    if not words or words[0] not in kinds:
        raise ConfigError("say which study: pmi study recipes, or pmi study accumulation")
    report, text, failures = kinds[words[0]](list(words[1:]))
    report.write_text(text, encoding="utf-8")
    say(f"\n{report}: one page, with pictures")
    for failure in failures:
        say(failure, is_error=True)
    return 1 if failures else 0


def _study_recipes(words: list[str]) -> tuple[Path, str, Collection[str]]:
    from pmi_kernel.cli.evaluate import run_shown
    from pmi_kernel.core.settings import SystemConfig
    from pmi_kernel.reports.report import render_table
    from pmi_kernel.runs import RunSettings
    from pmi_kernel.studies.recipes import StudySettings, study_recipes
    from pmi_kernel.systems.pmi.config import PmiConfig
    from widgets.study import study_page

    def arguments(settings: StudySettings, config: PmiConfig) -> tuple[StudySettings, PmiConfig]:
        """Run sources x recipes x steps x ranks from weights alone; the report is report.html."""
        return settings, config

    def run_cell(target: RunSettings, system: SystemConfig) -> None:
        say(f"\n{target.out}")
        if run_shown(target, system).is_interrupted:
            raise KeyboardInterrupt

    settings, config = parse(arguments, words, "study recipes")
    found = study_recipes(settings, config, run_cell=run_cell)
    if not found.cells:
        failures = [f"{folder}: {failure}" for folder, failure in found.failures.items()]
        raise DataError("; ".join(failures) or f"{settings.out} has no results yet")
    say(f"\n{found.caption}")
    for source in found.sources:
        say(f"\n{source}\n{render_table(*found.table(source))}")
    command = shlex.join(["pmi", "study", "recipes", *words])
    failures = [f"{folder}: {failure}" for folder, failure in found.failures.items()]
    return settings.out / "report.html", study_page(found, command), failures


def _study_accumulation(words: list[str]) -> tuple[Path, str, Collection[str]]:
    from pmi_kernel.reports.report import render_table
    from pmi_kernel.studies.accumulation import AccumulationSettings, study_accumulation
    from pmi_kernel.systems.pmi.config import PmiConfig
    from widgets.study import accumulation_page

    def arguments(
        settings: AccumulationSettings, config: PmiConfig
    ) -> tuple[AccumulationSettings, PmiConfig]:
        """Inject one question's memory, then another's; is the first one's still answered?"""
        return settings, config

    settings, config = parse(arguments, words, "study accumulation")

    def on_pair(mode: str, number: int) -> None:
        say(f"{mode}: pair {number + 1} of {settings.pairs}")

    found = study_accumulation(settings, config, on_pair=on_pair)
    say(f"\n{found.caption}\n\n{render_table(*found.table())}")
    command = shlex.join(["pmi", "study", "accumulation", *words])
    return settings.out / "report.html", accumulation_page(found, command), ()


def export(words: Sequence[str]) -> int:
    """Write a notebook as one HTML page."""

    def arguments(
        notebook: Annotated[Path, tyro.conf.Positional], html: Path | None = None
    ) -> tuple[Path, Path]:
        """Write a saved notebook as one HTML page that needs no network.

        Args:
            notebook: The notebook, with its outputs saved.
            html: Page to write; by default beside the notebook.
        """
        return notebook, html or notebook.with_suffix(".html")

    from widgets.export import export_notebook

    notebook, html = parse(arguments, list(words), "export")
    if not notebook.is_file():
        raise DataError(f"{notebook}: no such notebook")
    html.write_text(export_notebook(notebook), encoding="utf-8")
    say(f"{html}: one page, {html.stat().st_size / 1000:.0f} kB")
    return 0


def lab(words: Sequence[str]) -> int:
    """Open JupyterLab at the first notebook; options after it go to JupyterLab.

    That is in a source tree, else in the working directory; `--copy FOLDER` first copies the
    notebooks and the example runs to a folder and opens that.
    """
    from pmi_kernel.core.folder import write_json
    from pmi_kernel.engines.models import cache_dir
    from widgets.export import export_settings

    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--copy", type=Path, nargs="?", const=Path())
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
