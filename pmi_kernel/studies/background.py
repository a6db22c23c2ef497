"""A study as a job, watched or in the background: it owns its folder, and writes its report."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.folder import plainly, read_json
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.jobs import Job
from pmi_kernel.jobs import launch as launch_job
from pmi_kernel.jobs.job import REQUEST, VERBS, Request
from pmi_kernel.jobs.owner import Owned, owned
from pmi_kernel.jobs.status import State
from pmi_kernel.runs import RunSettings, supervise
from pmi_kernel.studies import accumulation, recipes
from pmi_kernel.studies.accumulation import Accumulation, AccumulationSettings, study_accumulation
from pmi_kernel.studies.pages import study_page
from pmi_kernel.studies.recipes import Study, StudySettings, study_recipes, words
from pmi_kernel.systems.pmi.config import PmiConfig

Asked = StudySettings | AccumulationSettings
RunCell = Callable[[RunSettings, SystemConfig, Owned], object]
KINDS: dict[str, type[Asked]] = {
    "recipes": StudySettings,
    "accumulation": AccumulationSettings,
}
"""The studies by name, each with its settings."""

RECORDS = (recipes.STUDY, accumulation.STUDY)
"""The files of which a study that was begun has one."""


def launch_study(settings: Asked, config: PmiConfig) -> Job:
    """Start a study in the background and return at once; it outlives the process that called.

    `read_study` tells what is there so far; the same call goes on with what was stopped.

    Args:
        settings: What to try, and over which questions.
        config: The PMI system's settings.

    Raises:
        ConfigError: The study is running already.
        DataError: The data is not there.
    """
    return launch_job("study", _request(settings, config), settings.out)


def carry_out(
    settings: Asked,
    config: PmiConfig,
    *,
    run_cell: RunCell,
    on_part: Callable[[str], object] = lambda name: None,
    on_start: Callable[..., object] = lambda: None,
    say: Callable[[str], object] = lambda text: None,
    lock: int | None = None,
) -> Study | Accumulation:
    """Do a study as the owner of its folder; its report is `report.html` there.

    Args:
        settings: What to try, and over which questions.
        config: The PMI system's settings.
        run_cell: Runs one cell of a recipe study, which is part of the job that it is given.
        on_part: Told of each cell or pair before it begins.
        on_start: Called when the folder is owned.
        say: Told of anything unusual, a line at a time.
        lock: What holds the folder, where it is held already.

    Raises:
        PmiError: As the study.
        KeyboardInterrupt: It was cancelled or interrupted; what is done is kept.
    """
    num_begun = 0

    def begin(job: Owned, name: str, total: int) -> None:
        nonlocal num_begun
        if job.asked():
            raise KeyboardInterrupt
        done, num_begun = num_begun, num_begun + 1
        job.tell(
            {
                "state": State.RUNNING,
                "unit": "cell" if isinstance(settings, StudySettings) else "pair",
                "part": name,
                "total": total,
                "done_now": done,
                "owed": total - done,
            }
        )
        on_part(name)

    with plainly(settings.out), owned(settings.out, say, lock) as job, job.told():
        on_start()
        found: Study | Accumulation
        if isinstance(settings, StudySettings):
            num_cells = settings.num_cells

            def run_next(target: RunSettings, system: SystemConfig) -> None:
                begin(job, str(target.out), num_cells)
                run_cell(target, system, job)

            found = study_recipes(settings, config, run_cell=run_next)
            if not found.cells:
                failures = (f"{folder}: {failure}" for folder, failure in found.failures.items())
                raise DataError("; ".join(failures) or f"{settings.out} has no results yet")
        else:
            num_pairs = settings.pairs * len(settings.accumulate)
            found = study_accumulation(
                settings,
                config,
                on_pair=lambda mode, number: begin(
                    job, f"{mode}: pair {number + 1} of {settings.pairs}", num_pairs
                ),
            )
        page = study_page(found, _command(settings, config))
        (settings.out / "report.html").write_text(page, encoding="utf-8")
        job.tell({"part": "", "done_now": job.status.get("total", 0), "owed": 0})
    return found


def _kind(settings: Asked) -> str:
    return next(name for name, kind in KINDS.items() if isinstance(settings, kind))


def _command(settings: Asked, config: PmiConfig) -> str:
    return shlex.join(["pmi", "study", _kind(settings), *words(settings), *words(config)])


# -- what jobs ask ------------------------------------------------------------------------------


def admit(request: Request, out: Path) -> None:
    """See `Work.admit`; what a study's folder cannot go on with, its parts refuse."""
    REQUEST.write(out, request)


def work(
    request: Request, *, lock: int, on_start: Callable[..., object], say: Callable[[str], object]
) -> str:
    """See `Work.work`."""
    settings, config = _open(request)

    def run_cell(target: RunSettings, system: SystemConfig, job: Owned) -> None:
        if supervise(target, system, say=say, above=job).is_interrupted:
            raise KeyboardInterrupt

    carry_out(
        settings, config, run_cell=run_cell, on_part=say, on_start=on_start, say=say, lock=lock
    )
    return "ended"


def asked(out: Path, **changes: Any) -> Request:
    """See `Work.asked`."""
    request = REQUEST.read(out)
    if request is None:
        names = dict(zip(VERBS["study"].files, KINDS, strict=True))
        records = {kind: read_json(out / name) for name, kind in names.items()}
        kind = next((kind for kind, record in records.items() if record), None)
        if kind is None:
            raise ConfigError(f"{out} holds no study to go on with")
        record = records[kind]
        request = {"study": kind, "config": record["config"], "settings": record["settings"]}
    settings, config = _open(request)
    return _request(settings.but(**{**changes, "out": out}), config)


def _request(settings: Asked, config: PmiConfig) -> Request:
    kept = settings.model_dump(mode="json")
    kept["out"] = str(settings.out.resolve())
    if isinstance(settings, StudySettings):
        kept["data"] = [_anywhere(source) for source in settings.data]
    else:
        kept["data"] = _anywhere(settings.data)
    return {
        "verb": "study",
        "study": _kind(settings),
        "config": config.model_dump(mode="json"),
        "settings": kept,
    }


def _anywhere(source: str) -> str:
    """A source that means the same in any folder; a name stays: cells' folders are called by it."""
    return str(Path(source).resolve()) if Path(source).exists() else source


def _open(request: Request) -> tuple[Asked, PmiConfig]:
    kind = KINDS.get(request.get("study", ""))
    if kind is None:
        raise ConfigError(f"there is no study {request.get('study')!r}")
    return kind(**request["settings"]), PmiConfig.recorded(request["config"])
