"""A background job, watched: workers, progress, running scores; cancelled and gone on with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.jobs import Job
from pmi_kernel.reports.intervals import mean_of
from pmi_kernel.reports.pages.render import Node, seconds, table_node
from pmi_kernel.runs.progress import RunningScores
from widgets.watching import JobView


class JobMonitor(JobView):
    """Shows a job as it goes on; the job lives on without it.

    Args:
        job: A job, or the directory of a run.

    Raises:
        ConfigError: The directory holds no run.
    """

    def __init__(self, job: Job | str | Path) -> None:
        super().__init__(job)
        self._scores = RunningScores(self.job.out)
        self._follow()

    def on_force(self, *_: object) -> None:
        """The Stop at once button: the episodes that run now are owed again."""
        self.submit("Stopping…", lambda: self.job.cancel(is_forced=True, wait_s=20))

    def _look(self, status: Mapping[str, Any], is_running: bool) -> None:
        num_scored = self._scores.update()
        owed = status.get("owed")
        done = status.get("done_before", 0) + status.get("done_now", 0)
        total = status.get("total", done + (owed or 0))
        facts = [("state", status["state"]), ("done", f"{done} of {total}" if total else "0")]
        if owed is not None:
            facts.append(("owed", f"{owed}"))
        if part := status.get("part"):
            facts.append(("now", part))
        if status.get("failed"):
            facts.append(("left pending after failing", f"{status['failed']}"))
        if rate := status.get("episodes_per_min"):
            facts.append(("episodes per minute", f"{rate:.1f}"))
        if is_running and (eta_s := status.get("eta_s")):
            facts.append(("left", f"about {seconds(eta_s)}"))
        if num_scored:
            for name, values in (("em", self._scores.em), ("f1", self._scores.f1)):
                score = mean_of(name, list(values.values())).show(name)
                facts.append((f"{FIGURES[name].label} so far", f"{score} %"))
        rows = [
            (
                name,
                _worker_state(worker, is_running),
                worker["done"],
                worker["in_flight"],
                worker["failed"],
                f"{worker['episodes_per_min']:.1f}",
                ", ".join(sorted(set(worker.get("stages", {}).values()))),
                f"{worker['rss_mb']:.0f} MB" if "rss_mb" in worker else "",
                worker["last_error"],
            )
            for name, worker in status["workers"].items()
        ]
        columns = (
            "worker",
            "state",
            "done",
            "in hand",
            "failed",
            "per minute",
            "stage",
            "memory",
            "last error",
        )
        can_resume = not is_running and (bool(owed) or status["state"] in ("lost", "failed"))
        buttons = [
            ("cancel", "Cancel", is_running, "Finish the episodes that run now, then stop"),
            ("force", "Stop at once", is_running, "The episodes that run now are owed again"),
            ("resume", "Resume", can_resume, "Go on with what is owed"),
        ]
        names = ("action", "label", "is_on", "help")
        shown = [
            Node(
                "toolbar",
                "toolbar.html",
                {"buttons": [dict(zip(names, button, strict=True)) for button in buttons]},
            ),
            Node("progress", "progress.html", {"done": done, "total": total}),
            Node("facts", "facts.html", {"facts": facts}),
        ]
        if rows:
            shown.append(table_node("workers", f"Workers of {self.job.out}", columns, rows))
        self.show(shown)


def _worker_state(worker: Mapping[str, Any], is_running: bool) -> str:
    if not is_running:
        return "ended"
    return "ready" if worker["is_ready"] else "starting"
