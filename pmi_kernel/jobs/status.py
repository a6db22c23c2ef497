"""How far a job is, as its owner says it in `status.json`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import NotRequired

from pydantic import ConfigDict, FiniteFloat, TypeAdapter, with_config
from typing_extensions import TypedDict

from pmi_kernel.core.folder import Kept


class State(StrEnum):
    """What a job is at."""

    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"
    STOPPED = "stopped"
    """Nothing is done now, and something is owed."""
    LOST = "lost"
    """Its owner died without a word."""
    UNKNOWN = "unknown"
    """Nothing in the folder says how it ended."""


GOING_ON = (State.STARTING, State.RUNNING, State.CANCELLING)
"""What only a process that is there can be at."""


@with_config(ConfigDict(extra="allow"))
class WorkerStatus(TypedDict):
    """One worker; `stages` by episode id."""

    is_ready: bool
    done: int
    in_flight: int
    failed: int
    episodes_per_min: FiniteFloat
    last_error: str
    stages: NotRequired[dict[str, str]]
    rss_mb: NotRequired[FiniteFloat]


@with_config(ConfigDict(extra="allow"))
class Status(TypedDict, total=False):
    """A job; `unit` is what is counted (an episode where it is absent), `part` what is done now.

    `total` is what was done before it and what it was asked for: `done_before`, `done_now` and
    `owed` together, but for what failed. `updated` is in seconds since 1970.
    """

    state: State
    error: str
    unit: str
    part: str
    total: int
    done_before: int
    done_now: int
    owed: int
    failed: int
    spent_s: FiniteFloat
    episodes_per_min: FiniteFloat
    eta_s: FiniteFloat | None
    updated: FiniteFloat
    workers: dict[str, WorkerStatus]


STATUS = Kept("status.json", TypeAdapter(Status), "delete it: the next start writes it anew")


def counted(unit: str, done: int, owed: int) -> Status:
    """Return the status of a job that nobody does now, by what was done of it."""
    return {
        "state": State.STOPPED if owed else State.DONE,
        "unit": unit,
        "total": done + owed,
        "done_before": done,
        "done_now": 0,
        "owed": owed,
    }


def in_words(status: Status) -> str:
    """Return a job's state, and where it says so, what is done and kept and what is owed."""
    done = status.get("done_before", 0) + status.get("done_now", 0)
    words = [str(status["state"])]
    if "total" in status:
        words.append(f"{done} of {status['total']} {status.get('unit', 'episode')}s done and kept")
    if owed := status.get("owed"):
        words.append(f"{owed} owed")
    return ", ".join(words)


def write_status(out: Path, status: Status) -> None:
    """Write a status; where there is no room for a new file, over the old one.

    Raises:
        OSError: Not even that can be done.
    """
    try:
        STATUS.write(out, status)
    except OSError:
        with STATUS.at(out).open("r+b") as file:
            file.write(json.dumps(status).encode())
            file.truncate()
