"""`pmi runs | blame | card`: what is in run directories."""

from pathlib import Path
from typing import Annotated

import tyro

from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError


def runs(words: list[str]) -> int:
    """Print what was run."""
    from pmi_kernel.reports.report import render_runs
    from pmi_kernel.runs.files import Summary, read
    from pmi_kernel.runs.jobs import find_jobs

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
            if summary := read(Summary, job.out):
                summaries[str(job.out)] = summary
        except ConfigError as error:
            summaries[str(job.out)] = None
            say(f"pmi: {error}", is_error=True)
    say(render_runs(summaries) if summaries else f"no runs under {root}")
    return 0


def blame(words: list[str]) -> int:
    """Print which stage failed each wrong answer."""
    import pmi_kernel.reports.blame as stages
    from pmi_kernel.reports.report import render_blame

    def arguments(run: Annotated[Path, tyro.conf.Positional]) -> Path:
        """Put each wrong answer of a run down to the first stage that failed it.

        Args:
            run: Run directory.
        """
        return run

    say(render_blame(stages.blame(parse(arguments, words, "blame"))))
    return 0


def card(words: list[str]) -> int:
    """Print what the injections of a run did."""
    from pmi_kernel.reports.cards import cards_frame, read_cards, render_cards

    def arguments(
        run: Annotated[Path, tyro.conf.Positional], csv: Path | None = None
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
