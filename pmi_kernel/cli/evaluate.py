"""`pmi run | resume`: evaluate systems, with a progress bar."""

import argparse
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from pmi_kernel.cli.consent import Consent, is_given, refuse
from pmi_kernel.cli.flags import parse_settings
from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import SettingsError
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.visible import visible
from pmi_kernel.systems import SYSTEMS, config_class

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


class _Asked(Consent):
    """What is asked of the command alone."""

    system: str = "pmi"
    """What answers; each has options of its own."""


_FIRST = ("data", "out", "limit", "system")


def run(words: list[str]) -> int:
    """Evaluate a system on a data set."""
    from pmi_kernel.runs import RunSettings
    from pmi_kernel.runs.files import RECORD

    name, kind = system_asked(words)
    config, settings, asked = parse_settings(
        {"system": kind, "run": RunSettings, "asked": _Asked},
        words,
        "run",
        f"Evaluate a system on a data set. These are the options with --system {name} "
        f"(one of {', '.join(SYSTEMS)}).",
        (*_FIRST, *kind.main[:6], "yes"),
    )
    if is_given(words, asked, RECORD.at(settings.out)):
        return _finish_run(settings, config)
    return refuse(_would_run(settings, config))


def system_asked(words: list[str]) -> tuple[str, type[SystemConfig]]:
    """Return the name and the settings of the system that `--system` asks for, pmi by default.

    Raises:
        SettingsError: There is no such system.
    """
    choose = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    choose.add_argument("--system", default="pmi")
    name = choose.parse_known_args(words)[0].system
    if name not in SYSTEMS:
        raise SettingsError({"system": f"there is none called {name} ({', '.join(SYSTEMS)})"})
    return name, config_class(name)


def _would_run(settings: Any, config: SystemConfig) -> dict[str, str]:
    from pmi_kernel.data import load_stream

    num = len(load_stream(settings.source))
    asked = num if settings.limit is None else min(num, settings.limit)
    return {
        "system": config.system,
        "data": f"{settings.data}, {asked} of its {num} questions",
        "model": config.serves or "none",
        "injection": _injection(config),
        "out": str(settings.out),
    }


def _injection(config: SystemConfig) -> str:
    """Whether something is injected, and how."""
    loads = config.loads()
    if config.learns and "strategy" in loads:
        return f"yes, by --strategy {loads['strategy']}"
    offer = "; --train_mem trains and injects" if "train_mem" in type(config).model_fields else ""
    return f"none{offer}"


def resume(words: list[str]) -> int:
    """Go on with a run under its own settings."""
    from pmi_kernel.runs.request import request_of

    def arguments(
        run: Annotated[Path, tyro.conf.Positional],
        limit: Annotated[int | None, tyro.conf.arg(help_behavior_hint="")] = None,
        workers: Annotated[int | None, tyro.conf.arg(help_behavior_hint="")] = None,
        data: Annotated[str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="")] = None,
    ) -> tuple[Path, int | None, int | None, str | None]:
        """Go on with a run under its own settings.

        Args:
            run: Run directory.
            limit: Most episodes to run now.
            workers: Worker processes now; as in pmi run.
            data: Where the run's data file is now, if it moved.
        """
        return run, limit, workers, data

    out, limit, workers, data = parse(arguments, words, "resume")
    moved = {} if data is None else {"data": data}
    config, settings = request_of(out, limit=limit, workers=workers, **moved)
    return _finish_run(settings, config)


def _finish_run(settings: Any, config: SystemConfig) -> int:
    from pmi_kernel.reports.summary import render_summary
    from pmi_kernel.runs import underway

    outcome = run_shown(settings, config)
    if outcome.summary:
        say(render_summary(outcome.summary, settings.out))
    if outcome.is_interrupted:
        say(f"interrupted; `pmi resume {settings.out}` goes on", is_error=True)
        for episode_id in underway.read(settings.out):
            shown = f"`pmi show {settings.out} {episode_id}`"
            say(f"stopped midway, {shown} shows it as far as it went", is_error=True)
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
