"""The recipe study: what is learned from weights alone, under each recipe, and what it costs.

Every cell is a run of its own (evidence in the weights only, probed, with the wrong-passage
control), so that a study can be stopped anywhere and gone on with, and every number be looked up in
its traces. A cell is the means of its episodes' report cards (`pmi_kernel.episodes.card`).
"""

import itertools
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.folder import read_json, write_json
from pmi_kernel.core.provenance import git_state, package_versions
from pmi_kernel.core.settings import Settings, SystemConfig
from pmi_kernel.data import load_examples, write_examples
from pmi_kernel.reports.cards import means, read_cards
from pmi_kernel.reports.intervals import Interval, show_with_n
from pmi_kernel.runs import RunSettings
from pmi_kernel.runs.merge import ERRORS
from pmi_kernel.systems.pmi.config import PmiConfig
from pmi_kernel.systems.pmi.recipes import Recipe

STUDY = "study.json"

COLUMNS = (
    "answered_before",
    "answered_after",
    "rephrased_after",
    "answered_wrong",
    "gold_nats_rise",
    "gold_nats_wrong_rise",
    "unrelated_before",
    "unrelated_after",
    "drift_kl_nats",
    "write_s",
    "train_s",
    "injection_s",
)
"""The figures that a study shows."""


class StudySettings(Settings):
    """What a recipe study is run over."""

    data: Annotated[tuple[str, ...], Field(min_length=1)] = ("world:hops=1,n=40",)
    """Sources of questions, each as in pmi run; the default is asked in one hop and cannot be known
    before."""
    out: Path = Path("runs/study")
    """Folder of the study; one run directory for each cell. What is done there is gone on with."""
    questions: Annotated[int, Field(ge=1, le=10**9)] = 20
    """Questions to ask of each source, spread evenly over it."""
    recipes: Annotated[tuple[Recipe, ...], Field(min_length=1)] = (
        "ntp",
        "qa",
        "paraphrase",
        "mixed",
        "cloze",
    )
    """Recipes to try (mem_recipe)."""
    steps: Annotated[tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...], Field(min_length=1)] = (
        10,
        20,
    )
    """Optimiser steps to try (mem_steps)."""
    ranks: Annotated[tuple[Annotated[int, Field(ge=1, le=512)], ...], Field(min_length=1)] = (8,)
    """Ranks to try (mem_rank)."""
    workers: Annotated[int | None, Field(ge=1, le=1_024)] = None
    """Worker processes, as in pmi run."""
    concurrency: Annotated[int, Field(ge=1, le=1_024)] = 1
    """Episodes at once in each worker, as in pmi run."""

    @property
    def num_cells(self) -> int:
        """How many cells there are."""
        return len(self.data) * len(self.recipes) * len(self.steps) * len(self.ranks)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one recipe came to on one source.

    Attributes:
        source: Where the questions came from.
        recipe: mem_recipe.
        steps: mem_steps.
        rank: mem_rank.
        figures: Mean of each figure of the report cards, one card for each episode with an
            injection, by name; an interval's `n` is how many cards have the figure.
        command: The command that repeats this cell.
    """

    source: str
    recipe: str
    steps: int
    rank: int
    figures: Mapping[str, Interval]
    command: str

    @property
    def name(self) -> str:
        """The cell within its source."""
        return f"{self.recipe}-{self.steps}-steps-rank-{self.rank}"


@dataclass(frozen=True, slots=True)
class Study:
    """A study, as far as it has been run.

    Attributes:
        cells: Those with results, in the order in which they are run.
        num_cells: All of them.
        failures: What failed in a cell when it was last run, and where the errors are, by its
            folder.
        facts: What it was made with, by name: settings, versions, commit.
    """

    cells: tuple[Cell, ...]
    num_cells: int
    failures: Mapping[Path, str]
    facts: Mapping[str, str]

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the questions came from."""
        return tuple(dict.fromkeys(cell.source for cell in self.cells))

    def table(self, source: str) -> tuple[tuple[str, ...], Sequence[tuple[str, ...]]]:
        """Return columns and rows of one source; every number with its interval and n."""
        rows = [
            (
                cell.recipe,
                str(cell.steps),
                str(cell.rank),
                *(show_with_n(name, cell.figures.get(name)) for name in COLUMNS),
            )
            for cell in self.cells
            if cell.source == source
        ]
        return ("recipe", "steps", "rank", *(FIGURES[name].heading for name in COLUMNS)), rows

    @property
    def caption(self) -> str:
        """What the numbers are."""
        return (
            "Asked from weights alone: percent of replies that hold the gold answer (sub-span EM), "
            "and how much likelier it became; likewise nine well-known unrelated questions. Means "
            "with 95 % intervals over the n episodes that have the figure (Wilson's of shares of "
            "episodes, else the bootstrap's). Seconds are "
            "of one injection; in all: write, train, attach, detach."
        )


def study_recipes(
    settings: StudySettings,
    config: PmiConfig,
    *,
    run_cell: Callable[[RunSettings, SystemConfig], object],
) -> Study:
    """Run every cell and sum them up; stopped anywhere, the next call goes on.

    Args:
        settings: What to try, and over which questions.
        config: The PMI system's settings; recipe, steps, rank, `train_mem` and `evidence` are the
            cells' own.
        run_cell: Runs one cell.

    Raises:
        PmiError: As `supervise`.
        ConfigError: Two sources would share a folder.
        DataError: A source cannot be read, or a cell has no injection.
    """
    folders = _folders(settings)
    settings.out.mkdir(parents=True, exist_ok=True)
    for source, folder in folders.items():
        examples = load_examples(source)
        step = max(1, len(examples) // settings.questions)
        folder.mkdir(exist_ok=True)
        write_examples(examples[::step][: settings.questions], folder / "questions.json")
    write_json(
        settings.out / STUDY,
        {
            "settings": settings.model_dump(mode="json"),
            "config": config.model_dump(mode="json"),
            "versions": package_versions(),
            "git": git_state(),
        },
    )
    for out, cell, _ in _cells(settings, config):
        target = RunSettings(
            data=str(out.parent / "questions.json"),
            out=out,
            workers=settings.workers,
            concurrency=settings.concurrency,
            probe=True,
        )
        run_cell(target, cell)
    return read_study(settings.out)


def read_study(out: Path) -> Study:
    """Return a study, as far as it has been run.

    Raises:
        ConfigError: There is no study.
        DataError: A cell has no injection.
    """
    record = read_json(out / STUDY)
    if record is None:
        raise ConfigError(f"{out} holds no study")
    settings = StudySettings(**{**record["settings"], "out": out})
    config = PmiConfig.recorded(record["config"])
    planned = list(_cells(settings, config))
    summaries = {folder: read_json(folder / "summary.json", {}) for folder, _, _ in planned}
    failures = {
        folder: f"{num_errors} of {num_errors + summary['num_episodes']} questions failed; "
        f"see {folder}/{ERRORS}.*.jsonl"
        for folder, summary in summaries.items()
        if (num_errors := summary.get("num_errors"))
    }
    cells = [
        Cell(
            source,
            cell.mem_recipe,
            cell.mem_steps,
            cell.mem_rank,
            figures=means(read_cards(folder)),
            command=_command(settings, config, source, cell),
        )
        for folder, cell, source in planned
        if summaries[folder].get("num_episodes")
    ]
    git, versions = record["git"], record["versions"]
    facts = {
        "sources": ", ".join(settings.data),
        "questions of each": str(settings.questions),
        "settings": shlex.join(words(config)) or "the defaults",
        "commit": f"{git['commit']}{' and changes' if git['is_dirty'] else ''}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return Study(tuple(cells), len(planned), failures, facts)


def _cells(settings: StudySettings, config: PmiConfig) -> Iterator[tuple[Path, PmiConfig, str]]:
    """Folder, settings and source of each cell."""
    varied = itertools.product(settings.recipes, settings.steps, settings.ranks)
    for (source, folder), (recipe, steps, rank) in itertools.product(
        _folders(settings).items(), list(varied)
    ):
        chosen = {"mem_recipe": recipe, "mem_steps": steps, "mem_rank": rank}
        fixed = {"train_mem": True, "evidence": "weights"}
        cell = PmiConfig(**{**config.model_dump(), **chosen, **fixed})
        yield folder / f"{recipe}-{steps}-steps-rank-{rank}", cell, source


def _folders(settings: StudySettings) -> dict[str, Path]:
    folders = {
        source: settings.out / re.sub(r"[^\w=.-]+", "-", Path(source).name.removesuffix(".json"))
        for source in settings.data
    }
    if len(set(folders.values())) < len(settings.data):
        raise ConfigError(f"two of the sources {', '.join(settings.data)} would share a folder")
    return folders


def _command(settings: StudySettings, config: PmiConfig, source: str, cell: PmiConfig) -> str:
    """The study of one cell, in a folder beside the others."""
    varied = {
        "data": source,
        "out": settings.out / "again",
        "recipes": cell.mem_recipe,
        "steps": cell.mem_steps,
        "ranks": cell.mem_rank,
    }
    named = [str(word) for name, value in varied.items() for word in (f"--{name}", value)]
    kept = {name: value for name, value in settings if name not in varied}
    others = [*words(StudySettings(**kept)), *words(config)]
    return shlex.join(["pmi", "study", "recipes", *named, *others])


def words(settings: Settings) -> list[str]:
    """Return the command line's words for every setting that is not at its default."""
    words: list[str] = []
    for name, field in type(settings).model_fields.items():
        value: Any = getattr(settings, name)
        if value == field.default:
            continue
        flag = f"--{name}"
        words.append(flag)
        if not isinstance(value, bool):  # every one of them is false by default
            words += map(str, value if isinstance(value, tuple) else (value,))
    return words
