"""`pmi runs | blame | card | show | compare`: what is in run directories."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from pmi_kernel.cli import terminal
from pmi_kernel.cli.parsing import OptionalFile, parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.visible import visible_line

if TYPE_CHECKING:
    from pmi_kernel.reports.recording import Recording


def runs(words: list[str]) -> int:
    """Print what was run."""
    from pmi_kernel.jobs import find_jobs
    from pmi_kernel.runs.files import SUMMARY, Summary

    def arguments(root: Annotated[Path, tyro.conf.Positional] = Path("runs")) -> Path:
        """List the runs under a folder: system, model, EM, F1, data, commit.

        Args:
            root: The folder.
        """
        return root

    root = parse(arguments, words, "runs")
    summaries: dict[str, Summary | None] = {}
    for job in find_jobs(root):
        try:
            if job.verb in ("run", None) and (summary := SUMMARY.read(job.out)):
                summaries[str(job.out)] = summary
        except ConfigError as error:
            summaries[str(job.out)] = None
            say(f"pmi: {error}", is_error=True)
    say(_table(summaries) if summaries else terminal.nothing_under(root, "runs"))
    return 0


def _table(summaries: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return a table of runs; `summaries` as in `summary.json`, None where that is damaged."""
    from pmi_kernel.reports.tables import render_table

    scores = ("em", "f1")
    rows = [
        (
            name,
            summary["system"],
            Path(summary["engine"].get("model", "-")).name,
            str(summary["num_episodes"]),
            str(summary["num_pending"]),
            *(FIGURES[score].show(summary[score]) for score in scores),
            summary["data"]["sha256"][:8],
            str(summary["git"]["commit"])[:8] + ("+" if summary["git"]["is_dirty"] else ""),
        )
        if summary is not None
        else (name, "broken", *["-"] * 7)
        for name, summary in summaries.items()
    ]
    labels = [FIGURES[score].label for score in scores]
    header = ("run", "system", "model", "done", "owed", *labels, "data", "commit")
    return render_table(header, rows)


def blame(words: list[str]) -> int:
    """Print which stage failed each wrong answer."""
    import pmi_kernel.reports.blame as stages

    def arguments(run: Annotated[Path, tyro.conf.Positional]) -> Path:
        """Put each wrong answer of a run down to the first stage that failed it.

        Args:
            run: Run directory.
        """
        return run

    say(stages.render_blame(stages.blame(parse(arguments, words, "blame"))))
    return 0


def card(words: list[str]) -> int:
    """Print what the injections of a run did."""
    from pmi_kernel.reports.cards import cards_frame, read_cards, render_cards

    def arguments(
        run: Annotated[Path, tyro.conf.Positional], csv: OptionalFile = None
    ) -> tuple[Path, Path | None]:
        """Say what the injections of a run with --probe did: a row an episode, and the means.

        Args:
            run: Run directory.
            csv: Write every figure here, a row an episode; shares are in [0, 1].
        """
        return run, csv

    run, csv = parse(arguments, words, "card")
    cards = read_cards(run)
    say(render_cards(cards))
    if csv is not None:
        csv.write_text(cards_frame(cards).to_csv(), encoding="utf-8")
        say(f"written to {csv}")
    return 0


def show(words: list[str]) -> int:
    """Show a run or one recorded episode, as text or as a page of its own."""
    from pmi_kernel.reports.recording import Recording

    def arguments(
        run: Annotated[Path, tyro.conf.Positional],
        episode_id: Annotated[
            str | None, tyro.conf.Positional, tyro.conf.arg(help_behavior_hint="")
        ] = None,
        html: OptionalFile = None,
    ) -> tuple[Path, str | None, Path | None]:
        """Show one recorded episode; without an id, a run: the list of its episodes, or a page.

        Args:
            run: Run directory, or a file of traces.
            episode_id: The episode.
            html: Write a page that needs no network to this file.
        """
        return run, episode_id, html

    run, episode_id, html = parse(arguments, words, "show")
    recording = Recording(run)
    if html is not None:
        html.write_text(_page(recording, episode_id), encoding="utf-8")
        say(f"{html}: one page, {html.stat().st_size / 1000:.0f} kB")
    elif episode_id is None:
        for known in recording.ids:
            result = recording.results.get(known)
            say(visible_line(f"{known}  {result.prediction}" if result else known))
        for known, trace in recording.underway.items():
            kinds = ", ".join(step.kind for step in trace.steps)
            say(visible_line(f"{known}  (not done; so far: {kinds})"))
        if not recording.ids:
            say(f"{run}: no episode is done yet; `pmi jobs watch {run}` tells how far it is")
        if unreadable := recording.unreadable:
            say(f"{len(unreadable)} lines cannot be read, the first {unreadable[0]}", is_error=True)
    else:
        from pmi_kernel.reports.pages.text import render_trace

        say(render_trace(recording.trace(episode_id), recording.results.get(episode_id)))
    return 0


def _page(recording: "Recording", episode_id: str | None) -> str:
    """An episode, or the whole run, as a page."""
    from pmi_kernel.reports.pages.render import READ_SCRIPT, page
    from pmi_kernel.reports.run_page import run_page

    if episode_id is None:
        return run_page(recording)
    question = recording.trace(episode_id).task.question
    return page(question, recording.nodes(episode_id), scripts=(READ_SCRIPT,))


def compare(words: list[str]) -> int:
    """Compare runs on the episodes that they share."""
    import pmi_kernel.reports.compare as comparing
    from pmi_kernel.reports.pages.compared import compared_nodes
    from pmi_kernel.reports.pages.render import page

    def arguments(
        runs: Annotated[
            tuple[Path, ...],
            tyro.conf.Positional,
            tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint=""),
        ],
        force: bool = False,
        style: Literal["paired", "regrad"] = "paired",
        by: Literal["", "gold_position"] = "",
        csv: OptionalFile = None,
        latex: OptionalFile = None,
        html: OptionalFile = None,
    ) -> tuple[tuple[Path, ...], bool, str, str, dict[str, Path | None]]:
        """Compare runs on the episodes that they share; each is held against the first.

        Args:
            runs: Run directories.
            force: Compare runs over different data files too, by episode id, and runs whose outputs
                without a whole answer count differently.
            style: paired, or regrad: the table of retrievable gradients' authors, a row a run over
                any data, EM, F1, precision and recall with two decimals and their mean.
            by: gold_position: a row for each place of the gold document, of runs over any data; the
                page of --html draws the curve.
            csv: Write the table here, as CSV.
            latex: Write the table here, as LaTeX.
            html: Write a page that needs no network here.
        """
        return runs, force, style, by, {"csv": csv, "latex": latex, "html": html}

    runs, is_forced, style, by, targets = parse(arguments, words, "compare")
    if not runs:
        raise ConfigError("name one run or more")
    if by:
        return _compare_by_position(runs, targets)
    if style == "regrad":
        return _compare_as_regrad(runs, targets)
    comparison = comparing.compare(runs, is_forced=is_forced)
    say(comparison.render())
    texts = {
        "csv": lambda: comparison.frame().to_csv(index=False),
        "latex": lambda: comparison.frame().to_latex(index=False, float_format="%.2f", escape=True),
        "html": lambda: page("Runs compared", compared_nodes(comparison)),
    }
    return _written(texts, targets)


def _compare_by_position(runs: tuple[Path, ...], targets: Mapping[str, Path | None]) -> int:
    import pandas as pd

    from pmi_kernel.reports.pages.charts import pictures
    from pmi_kernel.reports.pages.positions import positions_figure
    from pmi_kernel.reports.pages.render import found_node, page, table_node
    from pmi_kernel.reports.positions import by_position
    from pmi_kernel.reports.tables import render_table

    found = by_position(runs)
    table = found.table()
    say(f"{render_table(table.columns, table.rows)}\n\n{table.caption}")
    title = "Answers by the place of the gold document"

    def html() -> str:
        nodes = [
            found_node(title, f"{len(runs)} runs"),
            table_node("positions", table.caption, table.columns, table.rows),
        ]
        return page(title, nodes, pictures=pictures([positions_figure(found)]))

    frame = pd.DataFrame(table.rows, columns=list(table.columns))
    texts = {
        "csv": lambda: frame.to_csv(index=False),
        "latex": lambda: frame.to_latex(index=False, escape=True),
        "html": html,
    }
    return _written(texts, targets)


def _compare_as_regrad(runs: tuple[Path, ...], targets: Mapping[str, Path | None]) -> int:
    import pandas as pd

    from pmi_kernel.reports.regrad_style import regrad_table
    from pmi_kernel.reports.tables import render_table

    if targets["html"]:
        raise ConfigError("--style regrad has no page; write it with --csv or --latex")
    table = regrad_table(runs)
    say(f"{render_table(table.columns, table.rows)}\n\n{table.caption}")
    frame = pd.DataFrame(table.rows, columns=list(table.columns))
    texts = {
        "csv": lambda: frame.to_csv(index=False),
        "latex": lambda: frame.to_latex(index=False, escape=True),
    }
    return _written(texts, targets)


def _written(texts: Mapping[str, Callable[[], str]], targets: Mapping[str, Path | None]) -> int:
    """Write a comparison to the files that are asked for, each by its kind; return the status."""
    for kind, path in targets.items():
        if path is not None:
            path.write_text(texts[kind](), encoding="utf-8")
            say(f"written to {path}")
    return 0
