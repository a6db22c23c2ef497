"""A worker as the run's parent knows it."""

import time
from dataclasses import dataclass, field
from typing import Any

from pmi_kernel.jobs.status import WorkerStatus
from pmi_kernel.runs.devices import Slot
from pmi_kernel.runs.launchers import Handle


@dataclass(slots=True)
class Member:
    """One worker with what the parent knows of it."""

    slot: Slot
    handle: Handle | None = None
    in_flight: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    is_ready: bool = False
    num_done: int = 0
    num_failed: int = 0
    errors_in_a_row: int = 0
    num_fruitless: int = 0
    num_deaths: int = 0
    last_error: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic)
    heard_s: float = 0.0

    def status(self) -> WorkerStatus:
        """Return what others see of it."""
        spent_s = max(1e-9, time.monotonic() - self.started_s)
        status: WorkerStatus = {
            "is_ready": self.is_ready,
            "done": self.num_done,
            "in_flight": len(self.in_flight),
            "failed": self.num_failed,
            "episodes_per_min": 60 * self.num_done / spent_s,
            "last_error": self.last_error,
        }
        return {**status, **self.facts}  # type: ignore[typeddict-item]

    def end(self) -> None:
        """End the worker, and forget what it had in hand."""
        if self.handle is not None:
            self.handle.kill()
        self.handle = None
        self.in_flight.clear()
        self.begun.clear()
        self.is_ready, self.errors_in_a_row, self.facts = False, 0, {}
