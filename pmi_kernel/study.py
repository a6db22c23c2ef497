"""The recipe study: what is learned from weights alone, under each recipe, and what it costs.

Every cell is a run of its own (evidence in the weights only, probed, with the wrong-passage
control), so that a study can be stopped anywhere and gone on with, and every number be looked up in
its traces. What is measured, after the model-editing literature (Meng et al. 2022,
arXiv:2202.05262, section 3):

- efficacy: the question is asked alone, nothing in the prompt; is the gold answer in the reply
  (sub-span exact match, percent), and how much likelier is it (nats, teacher-forced)?
- locality: drift, the mean KL divergence from before on fixed unrelated prompts (nats per token);
  and the wrong passage, injected instead: what it does to the same question must be small.
- cost: seconds to write and to train.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pmi_kernel.batch import RunSettings
from pmi_kernel.batch.merge import TRACES, read_results
from pmi_kernel.compare import Interval, bootstrap
from pmi_kernel.config import Settings, SystemConfig
from pmi_kernel.data import load_examples, write_examples
from pmi_kernel.errors import DataError
from pmi_kernel.metrics import score_answer
from pmi_kernel.recipes import Recipe
from pmi_kernel.records import read_records
from pmi_kernel.systems.pmi.config import PmiConfig
from pmi_kernel.types import EvalResult, Probe, StepKind, Trace


class StudySettings(Settings):
    """What a recipe study is run over."""

    data: str = "sample"
    """Questions, as in pmi run."""
    out: Path = Path("runs/study")
    """Folder of the study; one run directory for each cell. What is done there is gone on with."""
    questions: Annotated[int, Field(ge=1)] = 20
    """Questions to ask, spread evenly over the data."""
    recipes: tuple[Recipe, ...] = ("ntp", "qa", "paraphrase", "mixed")
    """Recipes to try (mem_recipe)."""
    steps: tuple[Annotated[int, Field(ge=1)], ...] = (10, 20)
    """Optimiser steps to try (mem_steps)."""
    ranks: tuple[Annotated[int, Field(ge=1)], ...] = (8,)
    """Ranks to try (mem_rank)."""
    workers: Annotated[int | None, Field(ge=1)] = None
    """Worker processes, as in pmi run."""
    concurrency: Annotated[int, Field(ge=1)] = 1
    """Episodes at once in each worker, as in pmi run."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one recipe came to; every interval is over the episodes with an injection.

    Attributes:
        name: Its folder.
        recipe: mem_recipe.
        steps: mem_steps.
        rank: mem_rank.
        num_probed: Episodes with an injection.
        before: Sub-span EM of the reply to the question alone, before any injection.
        after: The same after the last injection.
        wrong: The same after the wrong passage instead; None where no control was taken.
        rise_nats: How much likelier the gold answer is, question alone; in nats, not percent.
        wrong_rise_nats: The same for the wrong passage.
        drift_nats: KL from before on unrelated prompts, nats per token.
        train_s: Seconds of one training.
        write_s: Seconds of writing its lessons.
    """

    name: str
    recipe: str
    steps: int
    rank: int
    num_probed: int
    before: Interval
    after: Interval
    wrong: Interval | None
    rise_nats: Interval
    wrong_rise_nats: Interval | None
    drift_nats: Interval
    train_s: float
    write_s: float


@dataclass(frozen=True, slots=True)
class Study:
    """A study's cells.

    Attributes:
        data: The questions.
        cells: In the order in which they were run.
    """

    data: str
    cells: tuple[Cell, ...]

    def table(self) -> tuple[tuple[str, ...], Sequence[tuple[str, ...]]]:
        """Return columns and rows."""
        columns = (
            "recipe",
            "steps",
            "rank",
            "n",
            "answered before",
            "answered after",
            "wrong passage",
            "gold rise (nats)",
            "wrong passage (nats)",
            "drift (nats/token)",
            "write s",
            "train s",
        )
        rows = [
            (
                cell.recipe,
                str(cell.steps),
                str(cell.rank),
                str(cell.num_probed),
                str(cell.before),
                str(cell.after),
                str(cell.wrong or "-"),
                _nats(cell.rise_nats),
                _nats(cell.wrong_rise_nats),
                _nats(cell.drift_nats),
                f"{cell.write_s:.1f}",
                f"{cell.train_s:.1f}",
            )
            for cell in self.cells
        ]
        return columns, rows

    @property
    def caption(self) -> str:
        """What the numbers are."""
        return (
            "Asked from weights alone: percent of replies that hold the gold answer, and how much "
            "likelier it became; means with 95 % bootstrap intervals over the n episodes with an "
            "injection. Seconds are means of one injection."
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
        DataError: No cell has an injection.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    examples = load_examples(settings.data)
    questions = settings.out / "questions.json"
    step = max(1, len(examples) // settings.questions)
    write_examples(examples[::step][: settings.questions], questions)
    cells = []
    for recipe, steps, rank in itertools.product(settings.recipes, settings.steps, settings.ranks):
        name = f"{recipe}-{steps}-steps-rank-{rank}"
        out = settings.out / name
        chosen = {"mem_recipe": recipe, "mem_steps": steps, "mem_rank": rank}
        cell = {**config.model_dump(), **chosen, "train_mem": True, "evidence": "weights"}
        target = RunSettings(
            data=str(questions),
            out=out,
            workers=settings.workers,
            concurrency=settings.concurrency,
            probe=True,
        )
        run_cell(target, PmiConfig(**cell))
        cells.append(_sum_up(out, recipe, steps, rank))
    return Study(settings.data, tuple(cells))


def _sum_up(run: Path, recipe: str, steps: int, rank: int) -> Cell:
    results = read_results(run)
    traces = read_records(Trace, run / f"{TRACES}.jsonl")
    pairs = [(trace, results[trace.task.id]) for trace in traces if trace.probes]
    if not pairs:
        raise DataError(f"{run}: no episode has an injection")
    rows = [_Row(trace.probes, result) for trace, result in pairs]
    injections = [
        step for trace, _ in pairs for step in trace.steps if step.kind is StepKind.INJECT
    ]
    wrong = [row.wrong for row in rows if row.wrong is not None]
    wrong_rises = [row.wrong_rise_nats for row in rows if row.wrong_rise_nats is not None]
    return Cell(
        name=run.name,
        recipe=recipe,
        steps=steps,
        rank=rank,
        num_probed=len(rows),
        before=bootstrap([row.before for row in rows]),
        after=bootstrap([row.after for row in rows]),
        wrong=bootstrap(wrong) if wrong else None,
        rise_nats=bootstrap([row.rise_nats for row in rows]),
        wrong_rise_nats=bootstrap(wrong_rises) if wrong_rises else None,
        drift_nats=bootstrap([row.drift_nats for row in rows]),
        train_s=sum(step.measures["train_s"] for step in injections) / len(injections),
        write_s=sum(step.measures.get("write_s", 0.0) for step in injections) / len(injections),
    )


class _Row:
    """One episode: before its first injection, after its last, and the control of the first."""

    def __init__(self, probes: Sequence[Probe], result: EvalResult) -> None:
        first, last = probes[0], probes[-1]
        answers = result.answers
        before = first.before.gold_no_evidence.total_nats
        self.before = score_answer(first.before.answer_no_evidence, answers).sub_em
        self.after = score_answer(last.after.answer_no_evidence, answers).sub_em
        self.rise_nats = last.after.gold_no_evidence.total_nats - before
        self.drift_nats = last.drift_kl_nats
        control = first.control
        self.wrong = score_answer(control.answer_no_evidence, answers).sub_em if control else None
        self.wrong_rise_nats = control.gold_no_evidence.total_nats - before if control else None


def _nats(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
