"""How far a run is, as its owner says it in `status.json`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import NotRequired

from pydantic import ConfigDict, FiniteFloat, with_config
from typing_extensions import TypedDict

from pmi_kernel.core.folder import write_json


class State(StrEnum):
    """What a run is at."""

    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"
    LOST = "lost"
    """Its owner died without a word."""


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
    """A run; `updated` in seconds since 1970."""

    state: State
    error: str
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


def write_status(path: Path, status: Status) -> None:
    """Write a status; where there is no room for a new file, over the old one.

    Raises:
        OSError: Not even that can be done.
    """
    try:
        write_json(path, status)
    except OSError:
        with path.open("r+b") as file:
            file.write(json.dumps(status).encode())
            file.truncate()
