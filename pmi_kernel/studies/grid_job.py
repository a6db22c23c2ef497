"""A grid as a job: it owns its folder, watched or in the background."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.data import resolve_source
from pmi_kernel.jobs import Job
from pmi_kernel.jobs import launch as launch_job
from pmi_kernel.jobs.job import REQUEST, Request
from pmi_kernel.jobs.owner import Owned, owned
from pmi_kernel.jobs.status import State, Status, counted
from pmi_kernel.runs import RunSettings, supervise
from pmi_kernel.runs.files import SUMMARY
from pmi_kernel.studies.grid import ARMS, Grid, GridSettings, grid
from pmi_kernel.systems.pmi.config import PmiConfig


def launch_grid(settings: GridSettings, config: PmiConfig) -> Job:
    """Start a grid in the background and return at once; it outlives the process that called.

    Raises:
        ConfigError: The grid is running already.
        DataError: The data is not there.
    """
    return launch_job("grid", _request(settings, config), settings.out)


def carry_out(
    settings: GridSettings,
    config: PmiConfig,
    *,
    run_arm: Callable[[RunSettings, SystemConfig, Owned], object],
    on_start: Callable[..., object] = lambda: None,
    say: Callable[[str], object] = lambda text: None,
    lock: int | None = None,
) -> Grid:
    """Run a grid as the owner of its folder.

    Args:
        settings: Data, folder, questions, workers.
        config: The PMI system's settings.
        run_arm: Runs one arm, which is part of the job that it is given.
        on_start: Called when the folder is owned.
        say: Told of anything unusual, a line at a time.
        lock: What holds the folder, where it is held already.

    Raises:
        ConfigError: The folder holds another job.
        PmiError: As `grid`.
        KeyboardInterrupt: It was cancelled or interrupted; what is done is kept.
    """
    with plainly(settings.out), owned(settings.out, say, lock) as job, job.told():
        on_start()
        if (there := Job(settings.out).verb) not in (None, "grid"):
            raise ConfigError(f"{settings.out} holds a {there}; name another folder for this grid")
        REQUEST.write(settings.out, _request(settings, config))

        def run_next(target: RunSettings, system: SystemConfig) -> None:
            if job.asked():
                raise KeyboardInterrupt
            job.tell({**_counted(ARMS.index(target.out.name)), "part": str(target.out)})
            run_arm(target, system, job)

        found = grid(settings, config, run_arm=run_next)
        job.tell({**_counted(len(ARMS)), "part": ""})
    return found


def _counted(done: int) -> Status:
    """How far a grid is that is being run."""
    return {
        "state": State.RUNNING,
        "unit": "arm",
        "total": len(ARMS),
        "done_now": done,
        "owed": len(ARMS) - done,
    }


# -- what jobs ask ------------------------------------------------------------------------------


def found(out: Path) -> Status:
    """Return how far a grid is by the runs in its folder; nothing where there is none.

    Raises:
        ConfigError: A summary is damaged.
    """
    summaries = [SUMMARY.read(out / name) for name in ARMS]
    done = sum(summary is not None and not summary["num_pending"] for summary in summaries)
    return counted("arm", done, len(ARMS) - done) if any(summaries) else {}


def admit(request: Request, out: Path) -> None:
    """See `Work.admit`; what a grid's folder cannot go on with, its arms refuse."""
    REQUEST.write(out, request)


def work(
    request: Request, *, lock: int, on_start: Callable[..., object], say: Callable[[str], object]
) -> str:
    """See `Work.work`."""

    def run_arm(target: RunSettings, system: SystemConfig, job: Owned) -> None:
        say(str(target.out))
        if supervise(target, system, say=say, above=job).is_interrupted:
            raise KeyboardInterrupt

    settings, config = _open(request)
    carry_out(settings, config, run_arm=run_arm, on_start=on_start, say=say, lock=lock)
    return "ended"


def asked(out: Path, **changes: Any) -> Request:
    """See `Work.asked`."""
    request = REQUEST.read(out)
    if request is None:
        raise ConfigError(f"{out} holds no grid to go on with")
    settings, config = _open(request)
    return _request(settings.but(**{**changes, "out": out}), config)


def _request(settings: GridSettings, config: PmiConfig) -> Request:
    kept = settings.model_dump(mode="json")
    kept |= {"data": resolve_source(settings.data), "out": str(settings.out.resolve())}
    return {"verb": "grid", "config": config.model_dump(mode="json"), "settings": kept}


def _open(request: Request) -> tuple[GridSettings, PmiConfig]:
    return GridSettings(**request["settings"]), PmiConfig.recorded(request["config"])
