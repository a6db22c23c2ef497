"""`pmi jobs`: runs in the background, listed, followed and stopped."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from pmi_kernel.cli.parsing import parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError


def dispatch(words: list[str]) -> int:
    """List, watch or cancel runs in the background."""
    verbs = {"list": _list, "watch": _watch, "cancel": _cancel}
    if not words or words[0] not in verbs:
        say("usage: pmi jobs list [ROOT] | watch RUN | cancel RUN [--force]")
        return 0 if words and words[0] in ("-h", "--help") else 2
    return verbs[words[0]](words[1:])


def _list(words: list[str]) -> int:
    from pmi_kernel.runs.jobs import find_jobs

    def arguments(root: Annotated[Path, tyro.conf.Positional] = Path("runs")) -> Path:
        """List the runs under a folder, with how far each is.

        Args:
            root: The folder.
        """
        return root

    root = parse(arguments, words, "jobs list")
    statuses: dict[str, Mapping[str, Any]] = {}
    for job in find_jobs(root):
        try:
            statuses[str(job.out)] = job.status()
        except ConfigError as error:
            statuses[str(job.out)] = {"state": "broken"}
            say(f"pmi: {error}", is_error=True)
    say(_table(statuses) if statuses else f"no runs under {root}")
    return 0


def _table(statuses: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of runs and how far each is; `statuses` as `Job.status` gives them."""
    from pmi_kernel.reports.tables import render_table

    rows = []
    for name, status in statuses.items():
        done = status.get("done_before", 0) + status.get("done_now", 0)
        rate, eta_s = status.get("episodes_per_min"), status.get("eta_s")
        rows.append(
            (
                name,
                status["state"],
                f"{done}/{status['total']}" if "total" in status else "-",
                str(status.get("failed", "-")),
                f"{rate:.1f}" if rate else "-",
                f"{eta_s:.0f}" if eta_s and status["state"] == "running" else "-",
            )
        )
    return render_table(("run", "state", "done", "failed", "episodes/min", "seconds left"), rows)


def _watch(words: list[str]) -> int:
    from tqdm.auto import tqdm

    from pmi_kernel.runs.jobs import Job

    def arguments(run: Annotated[Path, tyro.conf.Positional]) -> Path:
        """Follow a run until it ends; Ctrl-C stops following, not the run.

        Args:
            run: Run directory.
        """
        return run

    job = Job.attach(parse(arguments, words, "jobs watch"))
    with tqdm(unit="episode", desc=job.out.name) as bar:
        while True:
            status = job.status()
            done = status.get("done_before", 0) + status.get("done_now", 0)
            bar.total = done + status.get("owed", 0)
            bar.n = done
            stages = {name: facts["in_flight"] for name, facts in status["workers"].items()}
            bar.set_postfix({"state": str(status["state"]), **stages})
            if not job.is_running:
                break
            time.sleep(0.5)
    say(f"{job.out}: {status['state']} {status.get('error', '')}".rstrip())
    return 0 if status["state"] == "done" else 1


def _cancel(words: list[str]) -> int:
    from pmi_kernel.runs.jobs import Job

    def arguments(
        run: Annotated[Path, tyro.conf.Positional], force: bool = False
    ) -> tuple[Path, bool]:
        """Stop a run after the episodes that run now; what is done is kept.

        Args:
            run: Run directory.
            force: At once: the episodes that run now are owed again.
        """
        return run, force

    run, force = parse(arguments, words, "jobs cancel")
    job = Job.attach(run)
    if not job.is_running:
        say(f"{run} is not running ({job.status()['state']})")
        return 0
    job.cancel(is_forced=force, wait_s=10.0 if force else 90.0)
    is_left = job.is_running
    say(f"{run}: {'still finishing its last episodes' if is_left else job.status()['state']}")
    return 0
