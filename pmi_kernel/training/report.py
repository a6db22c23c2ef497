"""What a training tells of itself: its logs, its summary, and how far it is."""

import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from pmi_kernel.core.folder import write_json
from pmi_kernel.jobs.owner import Owned
from pmi_kernel.jobs.status import State, Status
from pmi_kernel.training.checkpoint import SUMMARY
from pmi_kernel.training.config import TrainConfig
from pmi_kernel.training.learner import Evaluated
from pmi_kernel.training.log import EVALUATIONS, STEPS, Log
from pmi_kernel.training.state import Progress

OnRow = Callable[[Mapping[str, Any], int], object]
_TELL_S = 1.0
"""Longest time between two tellings of how far it is, while steps are taken."""


class Report:
    """Writes a training's logs, summary and status.

    Args:
        out: The training's folder; rows of steps that are done again are cut off its logs.
        system: Name of the system.
        config: How it is trained.
        progress: How far it is; looked at whenever something is told.
        total: Steps of the whole training.
        job: Told how far it is.
        on_row: Told of each row of both logs, and of `total`.
    """

    def __init__(
        self,
        out: Path,
        system: str,
        config: TrainConfig,
        progress: Progress,
        total: int,
        job: Owned | None,
        on_row: OnRow,
    ) -> None:
        self._out, self._system, self._config, self._progress = out, system, config, progress
        self._total, self._job, self._on_row = total, job, on_row
        self._logs = {name: Log(out / name, progress.step) for name in (STEPS, EVALUATIONS)}
        self._first = self._rowed = progress.step
        self._spent_before_s = progress.spent_s
        self._began_s = self._rowed_s = time.monotonic()
        self._told_s = -math.inf
        self._latest: dict[str, Any] = {}
        self._best = (progress.best_step, progress.best)
        self._summarise(None)

    def stepped(self, found: Mapping[str, Any]) -> None:
        """Log a step.

        Args:
            found: Its measures, lr and grad_norm.
        """
        progress, now_s = self._progress, time.monotonic()
        spent_s, num_steps = now_s - self._rowed_s, progress.step - self._rowed
        self._rowed, self._rowed_s = progress.step, now_s
        row = {
            "step": progress.step,
            **found,
            "examples_per_s": num_steps * self._config.batch / spent_s,
            "peak_mb": _peak_mb(),
            "skipped": progress.num_skipped,
        }
        if (num_tokens := found["measures"].get("num_tokens")) is not None:
            row["tokens_per_s"] = num_steps * num_tokens / spent_s
        self._write(STEPS, row)
        self._latest = {
            "loss": found["measures"]["loss"],
            "examples_per_s": row["examples_per_s"],
        }
        self.tell()

    def evaluated(self, found: Evaluated) -> None:
        """Log an evaluation."""
        row = {"step": self._progress.step, "measures": found.measures, "examples": found.examples}
        self._write(EVALUATIONS, row)

    def _write(self, name: str, row: Mapping[str, Any]) -> None:
        self._logs[name].write(row)
        self._on_row(row, self._total)

    @contextmanager
    def aside(self, part: str) -> Iterator[None]:
        """Tell that what is done within is no step, and leave it out of the steps' speed."""
        self.tell(part)
        start_s = time.monotonic()
        yield
        self._rowed_s += time.monotonic() - start_s

    def saving(self) -> None:
        """Bring the logs onto the disk, and the seconds spent up to date, for a checkpoint."""
        for one in self._logs.values():
            one.sync()
        self._progress.spent_s = self._spent_s()

    def saved(self) -> None:
        """Say in summary.json what the best checkpoint is now."""
        self._best = (self._progress.best_step, self._progress.best)
        self._summarise(None)

    def close(self, ended: str, say: Callable[[str], object]) -> None:
        """Write the summary and close the logs.

        Args:
            ended: How it ended: done, patience, cancelled, interrupted or failed.
            say: Told where the summary cannot be written, which must not hide why it ended.
        """
        try:
            self._summarise(ended)
        except OSError as error:
            say(f"{SUMMARY.at(self._out)} cannot be written: {error.strerror}")
        self._told_s = -math.inf
        self.tell(owed=0 if ended == "patience" else None)
        for one in self._logs.values():
            one.close()

    def _spent_s(self) -> float:
        return self._spent_before_s + time.monotonic() - self._began_s

    def tell(self, part: str = "", owed: int | None = None) -> None:
        """Tell the job how far it is, not too often.

        Args:
            part: What is done now, where it is no step; told at once.
            owed: Steps that are left; None: all that were not done.
        """
        now_s = time.monotonic()
        if self._job is None or (not part and now_s - self._told_s < _TELL_S):
            return
        self._told_s = now_s
        progress, done = self._progress, self._progress.step - self._first
        best_step, best = self._best
        owed = self._total - progress.step if owed is None else owed
        status = {
            "state": State.CANCELLING if self._job.asked() else State.RUNNING,
            "unit": "step",
            "part": part,
            "total": self._total,
            "done_before": self._first,
            "done_now": done,
            "owed": owed,
            "eta_s": owed * (now_s - self._began_s) / done if done else None,
            "skipped": progress.num_skipped,
            "best_by": self._config.best_by,
            "best_step": best_step,
            "best": best,
            **{name: value for name, value in self._latest.items() if math.isfinite(value)},
        }
        self._job.tell(cast("Status", status))

    def _summarise(self, ended: str | None) -> None:
        best_step, best = self._best
        summary = {
            "system": self._system,
            "ended": ended,
            "steps": self._progress.step,
            "total": self._total,
            "best_by": self._config.best_by,
            "best_step": best_step,
            "best": best,
            "skipped": self._progress.num_skipped,
            "wall_s": self._spent_s(),
        }
        write_json(SUMMARY.at(self._out), summary)


def _peak_mb() -> float:
    """The most memory so far: of the CUDA device where one is used, else of the process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
