"""`pmi jobs`: whatever runs in the background, listed, followed, stopped and gone on with."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from pmi_kernel.cli import terminal
from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.jobs.status import State, in_words

if TYPE_CHECKING:
    from pmi_kernel.jobs import Job


def dispatch(words: list[str]) -> int:
    """List, watch, cancel or go on with jobs in the background."""
    verbs = {"list": _list, "watch": _watch, "cancel": _cancel, "resume": _resume}
    if not words or words[0] not in verbs:
        return terminal.ask_which(
            "jobs",
            words,
            verbs,
            "usage: pmi jobs list [ROOT] | watch JOB | cancel JOB [--force] | resume JOB\n\n"
            "ROOT is a folder of jobs, by default runs; JOB is one job's folder, e.g. runs/x",
        )
    return verbs[words[0]](words[1:])


def _list(words: list[str]) -> int:
    from pmi_kernel.jobs import find_jobs

    def arguments(root: Annotated[Path, tyro.conf.Positional] = Path("runs")) -> Path:
        """List the jobs under a folder, runs and others, with how far each is.

        Args:
            root: The folder.
        """
        return root

    root = parse(arguments, words, "jobs list")
    statuses: dict[str, Mapping[str, Any]] = {}
    for job in find_jobs(root):
        try:
            statuses[str(job.out)] = {"kind": job.verb or "-", **job.status()}
        except ConfigError as error:
            statuses[str(job.out)] = {"kind": "-", "state": "broken"}
            say(f"pmi: {error}", is_error=True)
    say(_table(statuses) if statuses else terminal.nothing_under(root, "jobs"))
    return 0


_COLUMNS = ("job", "kind", "state", "done", "failed", "episodes/min", "seconds left")


def _table(statuses: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of jobs; `statuses` as `Job.status` gives them, with the kind of each."""
    from pmi_kernel.reports.tables import render_table

    rows = []
    for name, status in statuses.items():
        done = status.get("done_before", 0) + status.get("done_now", 0)
        rate, eta_s = status.get("episodes_per_min"), status.get("eta_s")
        rows.append(
            (
                name,
                status["kind"],
                status["state"],
                f"{done}/{status['total']}" if "total" in status else "-",
                str(status.get("failed", "-")),
                f"{rate:.1f}" if rate else "-",
                f"{eta_s:.0f}" if eta_s and status["state"] == "running" else "-",
            )
        )
    return render_table(_COLUMNS, rows)


def _watch(words: list[str]) -> int:
    from tqdm.auto import tqdm

    from pmi_kernel.jobs import Job

    def arguments(job: Annotated[Path, tyro.conf.Positional]) -> Path:
        """Follow a job until it ends; Ctrl-C stops following, not the job.

        Args:
            job: The job's folder, e.g. a run directory.
        """
        return job

    job = Job.attach(parse(arguments, words, "jobs watch"))
    with tqdm(unit="episode", desc=job.out.name) as bar:
        while True:
            status = job.status()
            bar.unit = status.get("unit", "episode")
            done = status.get("done_before", 0) + status.get("done_now", 0)
            bar.total = done + status.get("owed", 0)
            bar.n = done
            stages = {name: facts["in_flight"] for name, facts in status["workers"].items()}
            part = {"part": Path(status["part"]).name} if status.get("part") else {}
            bar.set_postfix({"state": str(status["state"]), **part, **stages})
            if not job.is_running:
                break
            time.sleep(0.5)
    _say_end(job)
    return 0 if status["state"] == "done" else 1


def _say_end(job: "Job") -> None:
    """Say how a job that nobody does now ended, what is kept of it, and how to go on."""
    status = job.status()
    error = f": {status['error']}" if status.get("error") else ""
    say(f"{job.out}: {in_words(status)}{error}")
    if status["state"] != State.DONE:
        say(f"`pmi jobs resume {job.out}` goes on with what is owed")


def _cancel(words: list[str]) -> int:
    from pmi_kernel.jobs import Job

    def arguments(
        job: Annotated[Path, tyro.conf.Positional], force: bool = False
    ) -> tuple[Path, bool]:
        """Stop a job after what is at hand; what is done is kept.

        Args:
            job: The job's folder, e.g. a run directory.
            force: At once: what is at hand, e.g. the episodes that run now, is owed again.
        """
        return job, force

    out, force = parse(arguments, words, "jobs cancel")
    job = Job.attach(out)
    if not job.is_running:
        job.cancel(is_forced=force)  # it may be another machine's
        say(f"{out} is not running here ({in_words(job.status())})")
        return 0
    if not force:
        say(f"{out}: cancelling, once what is at hand is finished; --force does not wait for it")
    job.cancel(is_forced=force, wait_s=10.0 if force else 90.0)
    if job.is_running:
        say(f"{out}: still finishing what is at hand; `pmi jobs watch {out}` tells when it ends")
    else:
        _say_end(job)
    return 0


def _resume(words: list[str]) -> int:
    from pmi_kernel.jobs import Job

    def arguments(job: Annotated[Path, tyro.conf.Positional]) -> Path:
        """Go on with a job in the background, under its own settings.

        Args:
            job: The job's folder, e.g. a run directory.
        """
        return job

    out = parse(arguments, words, "jobs resume")
    Job.attach(out).resume()
    say(f"{out} goes on in the background; `pmi jobs watch {out}` follows it")
    return 0
