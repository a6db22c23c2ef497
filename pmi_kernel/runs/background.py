"""A run in the background: what `jobs` asks of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.jobs import Job
from pmi_kernel.jobs import launch as launch_job
from pmi_kernel.jobs.job import REQUEST, Request
from pmi_kernel.runs.files import RECORD
from pmi_kernel.runs.merge import RESULTS
from pmi_kernel.runs.record import check_same
from pmi_kernel.runs.request import make_request, open_request, request_of
from pmi_kernel.runs.settings import RunSettings, check_settings
from pmi_kernel.runs.supervise import supervise


def launch(config: SystemConfig, settings: RunSettings) -> Job:
    """Start a run in the background and return at once; it outlives the process that called.

    Args:
        config: The system's settings.
        settings: Data, run directory, workers, concurrency.

    Raises:
        ConfigError: The run is running already.
    """
    check_settings(settings, config)
    return launch_job("run", make_request(config, settings), settings.out)


def admit(request: Request, out: Path) -> None:
    """See `Work.admit`."""
    record = RECORD.read(out)
    if record is not None:
        known = {"system": request["system"], "config": request["config"]}
        check_same(known, record, out)
    elif not any(out.glob(f"{RESULTS}*.jsonl")):  # else it may yet be refused
        REQUEST.write(out, request)


def work(
    request: Request, *, lock: int, on_start: Callable[..., object], say: Callable[[str], object]
) -> str:
    """See `Work.work`."""
    config, settings = open_request(request, "what was asked for")
    outcome = supervise(settings, config, on_start=on_start, say=say, lock=lock)
    if outcome.is_interrupted:
        raise KeyboardInterrupt
    return f"ended; {outcome.num_run} episodes run now"


def asked(out: Path, **changes: Any) -> Request:
    """See `Work.asked`; how many workers and episodes there were before does not matter."""
    config, settings = request_of(out, **{"workers": None, "limit": None, **changes})
    return make_request(config, settings)
