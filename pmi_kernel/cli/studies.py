"""`pmi grid | study`: many runs under one question, their tables and pages."""

from pathlib import Path
from typing import Any

from pmi_kernel.cli.consent import Consent, is_given, refuse
from pmi_kernel.cli.evaluate import INTERRUPTED, run_shown
from pmi_kernel.cli.flags import parse_settings
from pmi_kernel.cli.terminal import ask_which, say
from pmi_kernel.core.settings import SystemConfig


def grid(words: list[str]) -> int:
    """Run the five arms and print their table."""
    import pmi_kernel.studies.grid as arms
    from pmi_kernel.runs import RunSettings
    from pmi_kernel.studies.grid_job import carry_out
    from pmi_kernel.systems.pmi.config import PmiConfig

    failed: dict[str, int] = {}

    def run_arm(target: RunSettings, system: SystemConfig, job: Any) -> None:
        outcome = run_shown(target, system, above=job)
        if outcome.is_interrupted:
            raise KeyboardInterrupt
        if num_errors := outcome.summary["num_errors"]:
            failed[target.out.name] = num_errors

    settings, config, consent = parse_settings(
        {"grid": arms.GridSettings, "system": PmiConfig, "asked": Consent},
        words,
        "grid",
        "Run closed book, in context, injected, injected with context, and the wrong passage.",
        (*arms.GridSettings.model_fields, "yes"),
    )
    if not is_given(words, consent, settings.out / arms.ARMS[0]):
        asked = settings.questions or "all"
        facts = {"arms": ", ".join(arms.ARMS), "data": f"{settings.data}, {asked} of its questions"}
        return refuse({**facts, "model": config.serves, "out": str(settings.out)})
    try:
        say(carry_out(settings, config, run_arm=run_arm).render())
    except KeyboardInterrupt:
        return _interrupted(settings.out)
    if not failed:
        return 0
    where = ", ".join(f"{count} in {arm}" for arm, count in failed.items())
    say(f"failed and left pending: {where}; the same command goes on", is_error=True)
    return 1


def study(words: list[str]) -> int:
    """Study what is learned from weights alone: by recipe, or by a second memory on a first."""
    from pmi_kernel.studies.background import KINDS, RECORDS, carry_out
    from pmi_kernel.systems.pmi.config import PmiConfig

    if not words or words[0] not in KINDS:
        lines = [f"  {name:13} {what}" for name, what in _STUDIES.items()]
        return ask_which(
            "study", words, KINDS, "usage: pmi study NAME [options]\n\n" + "\n".join(lines)
        )

    kind = KINDS[words[0]]
    settings, config, consent = parse_settings(
        {"study": kind, "system": PmiConfig, "asked": Consent},
        words[1:],
        f"study {words[0]}",
        _STUDIES[words[0]],
        (*kind.model_fields, "yes"),
    )
    if not is_given(words, consent, *(settings.out / name for name in RECORDS)):
        named = {name: value for name, value in settings if name not in ("out", "workers")}
        facts = {
            name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            for name, value in named.items()
        }
        return refuse({**facts, "model": config.serves, "out": str(settings.out)})
    try:
        found = carry_out(
            settings,
            config,
            run_cell=_run_cell,
            on_part=lambda name: say(f"\n{name}"),
            say=lambda text: say(text, is_error=True),
        )
    except KeyboardInterrupt:
        return _interrupted(settings.out)
    failures = _show_study(found)
    say(f"\n{settings.out / 'report.html'}: one page, with pictures")
    for failure in failures:
        say(failure, is_error=True)
    return 1 if failures else 0


_STUDIES = {
    "recipes": (
        "Run sources x recipes x steps x ranks from weights alone; the report is report.html."
    ),
    "accumulation": (
        "Inject one question's memory, then another's; is the first one's still answered?"
    ),
}


def _interrupted(out: Path) -> int:
    say(
        f"interrupted; what is done is kept; the same command goes on, or `pmi jobs resume {out}`",
        is_error=True,
    )
    return INTERRUPTED


def _run_cell(target: Any, system: SystemConfig, job: Any) -> None:
    if run_shown(target, system, above=job).is_interrupted:
        raise KeyboardInterrupt


def _show_study(found: Any) -> list[str]:
    """Print a study's tables, and return what failed in it."""
    from pmi_kernel.reports.tables import render_table
    from pmi_kernel.studies.accumulation import Accumulation

    say(f"\n{found.caption}")
    if isinstance(found, Accumulation):
        say(f"\n{render_table(*found.table())}")
        return []
    for source in found.sources:
        say(f"\n{source}\n{render_table(*found.table(source))}")
    return [f"{folder}: {failure}" for folder, failure in found.failures.items()]
