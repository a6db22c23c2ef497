"""`pmi run | resume`: evaluate systems, with a progress bar."""

import argparse
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.visible import visible
from pmi_kernel.systems import SYSTEMS, config_class

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


def run(words: list[str]) -> int:
    """Evaluate a system on a data set."""
    from pmi_kernel.runs import RunSettings

    choose = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    choose.add_argument("--system", choices=SYSTEMS, default="pmi")
    chosen, rest = choose.parse_known_args(words)
    kind = config_class(chosen.system)

    def settings(run: RunSettings, config: kind) -> tuple[RunSettings, SystemConfig]:  # type: ignore[valid-type]
        return run, config

    settings.__doc__ = (
        f"Evaluate a system on a data set.\n\nThese are the options with --system {chosen.system} "
        f"(one of {', '.join(SYSTEMS)})."
    )
    run_settings, config = parse(settings, rest, "run")
    return _finish_run(run_settings, config)


def resume(words: list[str]) -> int:
    """Go on with a run under its own settings."""
    from pmi_kernel.runs.request import request_of

    def arguments(
        out: Annotated[Path, tyro.conf.Positional],
        limit: int | None = None,
        workers: int | None = None,
        data: str | None = None,
    ) -> tuple[Path, int | None, int | None, str | None]:
        """Go on with a run under its own settings.

        Args:
            out: Run directory.
            limit: Most episodes to run now.
            workers: Worker processes now; as in pmi run.
            data: Where the run's data file is now, if it moved.
        """
        return out, limit, workers, data

    out, limit, workers, data = parse(arguments, words, "resume")
    moved = {} if data is None else {"data": data}
    config, settings = request_of(out, limit=limit, workers=workers, **moved)
    return _finish_run(settings, config)


def _finish_run(settings: Any, config: SystemConfig) -> int:
    from pmi_kernel.reports.summary import render_summary

    outcome = run_shown(settings, config)
    if outcome.summary:
        say(render_summary(outcome.summary, settings.out))
    if outcome.is_interrupted:
        say(f"interrupted; `pmi resume {settings.out}` goes on", is_error=True)
        return INTERRUPTED
    return 1 if outcome.summary["num_errors"] else 0


def run_shown(settings: Any, config: SystemConfig, above: Any = None) -> Any:
    """Run on workers, with a progress bar; `above` is the job that the run is part of."""
    from tqdm.auto import tqdm

    from pmi_kernel.core.result import EvalResult
    from pmi_kernel.runs import supervise

    bar = tqdm(total=0, unit="episode", desc=settings.out.name)
    scores: list[tuple[float, float]] = []

    def write(text: str) -> None:
        bar.write(visible(text))

    def warn(text: str) -> None:
        bar.write(visible(text), file=sys.stderr)

    def on_start(num_done: int, num_pending: int) -> None:
        bar.reset(total=num_pending)
        if num_done:
            write(f"{num_done} episodes are done already; {num_pending} to run now")

    def on_result(result: EvalResult) -> None:
        scores.append((result.scores["em"], result.scores["f1"]))
        em, f1 = (sum(column) / len(scores) for column in zip(*scores, strict=True))
        bar.set_postfix(EM=f"{em:.1%}", F1=f"{f1:.1%}")
        bar.update()

    with bar:
        return supervise(
            settings, config, on_start=on_start, on_result=on_result, say=warn, above=above
        )
