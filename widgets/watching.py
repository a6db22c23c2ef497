"""A job that a view follows: cancelled, gone on with, looked at until the view is closed."""

import threading
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import PmiError
from pmi_kernel.jobs import Job
from pmi_kernel.jobs.status import State, Status, in_words
from widgets.view import View

_POLL_S = 0.5


class JobView(View):
    """Shows a job as it goes on; the job lives on without it.

    Args:
        job: A job, or its folder: all is found by it, after a restart of the kernel too.

    Raises:
        ConfigError: The folder holds no job.
    """

    def __init__(self, job: Job | str | Path) -> None:
        super().__init__()
        self.job = job if isinstance(job, Job) else Job.attach(job)
        self._is_closed = threading.Event()
        self._looking = threading.Lock()
        self._was_running = True

    def _follow(self) -> None:
        """Look now, and from then on."""
        self.look()
        threading.Thread(target=self._poll, daemon=True).start()

    def on_cancel(self, *_: object) -> None:
        """The Cancel button: what is at hand is finished first."""
        self.job.cancel()
        self.look()

    def on_resume(self, *_: object) -> None:
        """The Resume button: goes on with what is owed."""
        self.job.resume()
        self.look()

    def close(self) -> None:
        """Stop watching."""
        self._is_closed.set()
        super().close()

    def look(self) -> None:
        """Show what is there now."""
        with self._looking:  # a click and the thread that follows may both
            is_running = self.job.is_running
            status = self.job.status()
            self._look(status, is_running)
            if status.get("error"):
                self.say(status["error"], is_error=True)
            elif not self.is_busy:
                self.say(self._told(status, is_running))
            if self._was_running and not is_running:
                self._refresh_saved()
            self._was_running = is_running

    def _told(self, status: Status, is_running: bool) -> str:
        """Where it is, as a line; once it has ended, what is kept of it, and how to go on."""
        if is_running:
            what = "finishing what is at hand" if status["state"] == State.CANCELLING else ""
            when = time.strftime("%H:%M:%S")
            return ", ".join(filter(None, [f"{self.job.out}: {status['state']}", what, when]))
        go_on = "" if status["state"] == State.DONE else "; Resume goes on with what is owed"
        return f"{self.job.out}: {in_words(status)}{go_on}"

    @abstractmethod
    def _look(self, status: Mapping[str, Any], is_running: bool) -> None:
        """Show a status."""

    def _poll(self) -> None:
        while not self._is_closed.wait(_POLL_S):
            try:
                self.look()
            except (OSError, PmiError) as error:
                self.say(f"{self.job.out} cannot be read: {error}", is_error=True)
