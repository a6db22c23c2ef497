"""The standard grid: what the weights add to the question alone, and to the context."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.settings import Settings, SystemConfig
from pmi_kernel.data import load_examples, write_examples
from pmi_kernel.reports.compare import Comparison, compare
from pmi_kernel.runs import RunSettings
from pmi_kernel.systems.baselines.config import ClosedBookConfig, InContextConfig
from pmi_kernel.systems.pmi.config import PmiConfig

ARMS = ("closed_book", "in_context", "injected", "injected_and_context", "wrong_passage")
"""The grid's runs, the closed book first."""


class GridSettings(Settings):
    """What the grid is run over."""

    data: str = "sample"
    """Questions, as in pmi run."""
    out: Path = Path("runs/grid")
    """Folder of the grid; one run directory for each arm. What is done there is gone on with."""
    questions: Annotated[int | None, Field(ge=1, le=10**9)] = None
    """Questions to ask, spread evenly over the data; by default all."""
    workers: Annotated[int | None, Field(ge=1, le=1_024)] = None
    """Worker processes, as in pmi run."""
    concurrency: Annotated[int, Field(ge=1, le=1_024)] = 1
    """Episodes at once in each worker, as in pmi run."""
    probe: bool = False
    """Measure around each injection, as in pmi run."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What the grid came to.

    Attributes:
        comparison: The arms, each against the closed book.
        recovered: For each injected arm, the share of the F1 gap between closed book and in
            context that it recovers; None where in context is not better than closed book.
    """

    comparison: Comparison
    recovered: dict[str, float | None]

    def render(self) -> str:
        """Return the comparison, and what the injection recovers of the gap."""
        figure = FIGURES["recovered"]
        lines = [
            f"{name}: {figure.show(share)}{'' if share is None else ' %'}"
            for name, share in self.recovered.items()
        ]
        return (
            f"{self.comparison.render()}\n\n{figure.label} (- where there is no gap):\n  "
            + "\n  ".join(lines)
        )


def grid(
    settings: GridSettings,
    config: PmiConfig,
    *,
    run_arm: Callable[[RunSettings, SystemConfig], object],
) -> Grid:
    """Run every arm and compare them; stopped anywhere, the next call goes on.

    Args:
        settings: Data, folder, questions, workers.
        config: The PMI system's settings; `train_mem` and `evidence` are the arms' own.
        run_arm: Runs one arm.

    Raises:
        PmiError: As `supervise` and `compare`.
    """
    data = settings.data
    with plainly(settings.out):
        settings.out.mkdir(parents=True, exist_ok=True)
        if settings.questions is not None:
            examples = load_examples(data)
            step = max(1, len(examples) // settings.questions)
            path = settings.out / "questions.json"
            write_examples(examples[::step][: settings.questions], path)
            data = str(path)
    for name, system in _arms(config).items():
        run_arm(
            RunSettings(
                data=data,
                out=settings.out / name,
                workers=settings.workers,
                concurrency=settings.concurrency,
                probe=settings.probe and name.startswith("injected"),
                wrong_passage=name == "wrong_passage",
            ),
            system,
        )
    return summarize_grid(settings.out)


def summarize_grid(out: Path) -> Grid:
    """Return what a grid that was run came to.

    Raises:
        DataError: An arm has no results.
    """
    # One config made all arms; those of an old grid may end by different rules, which is said.
    comparison = compare([out / name for name in ARMS], is_forced=True)
    f1 = {run.name: run.f1.mean for run in comparison.runs}
    gap = f1["in_context"] - f1["closed_book"]
    recovered = {
        name: (f1[name] - f1["closed_book"]) / gap if gap > 0 else None for name in ARMS[2:]
    }
    return Grid(comparison, recovered)


def _arms(config: PmiConfig) -> dict[str, SystemConfig]:
    def shared(kind: type[SystemConfig]) -> SystemConfig:
        return kind(**{k: v for k, v in config.model_dump().items() if k in kind.model_fields})

    def injected(evidence: str) -> PmiConfig:
        return PmiConfig(**{**config.model_dump(), "train_mem": True, "evidence": evidence})

    return {
        "closed_book": shared(ClosedBookConfig),
        "in_context": shared(InContextConfig),
        "injected": injected("weights"),
        "injected_and_context": injected("both"),
        "wrong_passage": injected("weights"),
    }
