"""`pmi grid | study`: many runs under one question, their tables and pages."""

import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pmi_kernel.cli.evaluate import run_shown
from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.settings import SystemConfig


def grid(words: list[str]) -> int:
    """Run the five arms and print their table."""
    import pmi_kernel.studies.grid as arms
    from pmi_kernel.runs import RunSettings
    from pmi_kernel.systems.pmi.config import PmiConfig

    def arguments(
        settings: arms.GridSettings, config: PmiConfig
    ) -> tuple[arms.GridSettings, PmiConfig]:
        """Run closed book, in context, injected, injected with context, and the wrong passage."""
        return settings, config

    failed: dict[str, int] = {}

    def run_arm(target: RunSettings, system: SystemConfig) -> None:
        outcome = run_shown(target, system)
        if outcome.is_interrupted:
            raise KeyboardInterrupt
        if num_errors := outcome.summary["num_errors"]:
            failed[target.out.name] = num_errors

    settings, config = parse(arguments, words, "grid")
    say(arms.grid(settings, config, run_arm=run_arm).render())
    if not failed:
        return 0
    where = ", ".join(f"{count} in {arm}" for arm, count in failed.items())
    say(f"failed and left pending: {where}; the same command goes on", is_error=True)
    return 1


def study(words: list[str]) -> int:
    """Study what is learned from weights alone: by recipe, or by a second memory on a first."""
    from pmi_kernel.studies.pages import study_page

    kinds: dict[str, Callable[[list[str]], tuple[Path, Any, Collection[str]]]] = {
        "recipes": _recipes,
        "accumulation": _accumulation,
    }
    if not words or words[0] not in kinds:
        raise ConfigError("say which study: pmi study recipes, or pmi study accumulation")
    out, found, failures = kinds[words[0]](words[1:])
    report = out / "report.html"
    report.write_text(study_page(found, shlex.join(["pmi", "study", *words])), encoding="utf-8")
    say(f"\n{report}: one page, with pictures")
    for failure in failures:
        say(failure, is_error=True)
    return 1 if failures else 0


def _recipes(words: list[str]) -> tuple[Path, Any, Collection[str]]:
    from pmi_kernel.reports.tables import render_table
    from pmi_kernel.runs import RunSettings
    from pmi_kernel.studies.recipes import StudySettings, study_recipes
    from pmi_kernel.systems.pmi.config import PmiConfig

    def arguments(settings: StudySettings, config: PmiConfig) -> tuple[StudySettings, PmiConfig]:
        """Run sources x recipes x steps x ranks from weights alone; the report is report.html."""
        return settings, config

    def run_cell(target: RunSettings, system: SystemConfig) -> None:
        say(f"\n{target.out}")
        if run_shown(target, system).is_interrupted:
            raise KeyboardInterrupt

    settings, config = parse(arguments, words, "study recipes")
    found = study_recipes(settings, config, run_cell=run_cell)
    failures = [f"{folder}: {failure}" for folder, failure in found.failures.items()]
    if not found.cells:
        raise DataError("; ".join(failures) or f"{settings.out} has no results yet")
    say(f"\n{found.caption}")
    for source in found.sources:
        say(f"\n{source}\n{render_table(*found.table(source))}")
    return settings.out, found, failures


def _accumulation(words: list[str]) -> tuple[Path, Any, Collection[str]]:
    from pmi_kernel.reports.tables import render_table
    from pmi_kernel.studies.accumulation import AccumulationSettings, study_accumulation
    from pmi_kernel.systems.pmi.config import PmiConfig

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
    return settings.out, found, ()
