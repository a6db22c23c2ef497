"""Background runs: started from anywhere, found again from anywhere; all state is in the folder."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pmi_kernel.batch.record import check_same, read_json, write_json
from pmi_kernel.batch.run import identity
from pmi_kernel.batch.settings import RunSettings
from pmi_kernel.batch.supervise import cancel, supervise
from pmi_kernel.config import SystemConfig
from pmi_kernel.data import resolve_source
from pmi_kernel.errors import ConfigError, PmiError
from pmi_kernel.systems import config_class

REQUEST, LOG = "request.json", "job.log"
_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """A run in the background, known by its directory alone.

    Attributes:
        out: The run directory.
    """

    out: Path

    @classmethod
    def attach(cls, out: str | Path) -> "Job":
        """Return the job of a run directory, whoever started it.

        Raises:
            ConfigError: There is no run in it.
        """
        out = Path(out)
        if not any((out / name).exists() for name in (REQUEST, "config.json", "status.json")):
            raise ConfigError(f"{out} holds no run")
        return cls(out)

    @property
    def owner(self) -> psutil.Process | None:
        """The process that runs the job now; None where none does."""
        owner = read_json(self.out / "owner.json", {})
        try:
            process = psutil.Process(owner["pid"])
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            # A pid may be given to another process after the owner's end.
            return process if abs(process.create_time() - owner["started"]) < 1 else None
        except (KeyError, psutil.Error):
            return None

    @property
    def is_running(self) -> bool:
        """Whether a process runs the job now."""
        return self.owner is not None

    def status(self) -> dict[str, Any]:
        """Return the last status that the owner wrote; `state` is `lost` where it died silently.

        The keys: state, error, total, done_before, done_now, owed, failed, spent_s,
        episodes_per_min, eta_s, updated, workers.
        """
        is_running = self.is_running  # looked at first, or a clean end would look lost
        status = read_json(self.out / "status.json", {})
        status.setdefault("workers", {})
        if is_running:
            status.setdefault("state", "starting")
            if status["state"] not in ("running", "cancelling"):
                status["state"] = "starting"
        elif status.get("state") in (None, "running", "cancelling", "starting"):
            status["state"] = "lost"
            status["error"] = self.last_words()
        return status

    def last_words(self, num_lines: int = 3) -> str:
        """Return the end of the job's log."""
        try:
            return "\n".join((self.out / LOG).read_text(encoding="utf-8").splitlines()[-num_lines:])
        except OSError:
            return ""

    def cancel(self, *, is_forced: bool = False, wait_s: float = 0.0) -> None:
        """Ask the job to stop, after the episodes that run now or at once.

        Args:
            is_forced: End the workers at once; what was not committed is owed again.
            wait_s: Wait so long for the end; an owner that is still there then is killed, where
                `is_forced`.
        """
        if not self.is_running:
            return
        cancel(self.out, is_forced=is_forced)
        deadline = time.monotonic() + wait_s
        while self.is_running and time.monotonic() < deadline:
            time.sleep(_WAIT_S)
        owner = self.owner
        if is_forced and wait_s and owner is not None:
            owner.kill()

    def resume(self, *, workers: int | None = None, limit: int | None = None) -> "Job":
        """Go on with what is owed, under the run's own settings, with any number of workers.

        Raises:
            ConfigError: The job is running, or it was not started by `launch` or `pmi run`.
        """
        request = request_of(self.out)
        settings = RunSettings(**{**request["settings"], "workers": workers, "limit": limit})
        return launch(config_class(request["system"])(**request["config"]), settings)

    def wait(self) -> dict[str, Any]:
        """Block until the job has ended, and return its status."""
        while self.is_running:
            time.sleep(_WAIT_S)
        return self.status()


def launch(config: SystemConfig, settings: RunSettings) -> Job:
    """Start a run in the background and return at once; it outlives the process that called.

    Args:
        config: The system's settings.
        settings: Data, run directory, workers, concurrency.

    Raises:
        ConfigError: The run is running already.
    """
    job = Job(settings.out)
    if job.is_running:
        raise ConfigError(f"{settings.out} is running already; Job.attach finds it")
    settings.out.mkdir(parents=True, exist_ok=True)
    save_request(config, settings)
    (settings.out / "status.json").unlink(missing_ok=True)
    with (settings.out / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pmi_kernel.batch.jobs", str(settings.out.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Out of the kernel's process group, or interrupting a cell would end the job.
            start_new_session=True,
        )
    write_json(settings.out / "owner.json", identity(process.pid))
    threading.Thread(target=process.wait, daemon=True).start()  # or it stays a zombie
    return job


def save_request(config: SystemConfig, settings: RunSettings) -> None:
    """Keep what was asked for, so that the run can be gone on with by its directory alone.

    Raises:
        ConfigError: The directory holds a run with another configuration.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    if (settings.out / "config.json").exists():
        known = {"system": config.system, "config": config.model_dump(mode="json")}
        check_same(known, settings.out / "config.json")
    kept = {**settings.model_dump(mode="json"), "data": resolve_source(settings.data)}
    kept["out"] = str(settings.out.resolve())
    write_json(
        settings.out / REQUEST,
        {"system": config.system, "config": config.model_dump(mode="json"), "settings": kept},
    )


def request_of(out: Path) -> dict[str, Any]:
    """Return what a run was asked for: system, config, settings.

    Raises:
        ConfigError: There is no run in `out`.
    """
    if request := read_json(out / REQUEST):
        return request
    record = read_json(out / "config.json")
    if record is None:
        raise ConfigError(f"{out} holds no run to go on with")
    settings = {"data": record["data_source"], "out": str(out), "probe": record["probe"]}
    return {"system": record["system"], "config": record["config"], "settings": settings}


def find_jobs(root: Path) -> list[Job]:
    """Return the runs in the folders under `root`, by name."""
    found = {path.parent for name in (REQUEST, "config.json") for path in root.glob(f"*/{name}")}
    found |= {path.parent for path in root.glob("*/*/config.json")}
    return [Job(out) for out in sorted(found)]


def _main(out: Path) -> int:
    request = read_json(out / REQUEST)
    config = config_class(request["system"])(**request["config"])
    settings = RunSettings(**request["settings"])

    def say(text: str) -> None:
        sys.stderr.write(time.strftime("%H:%M:%S ") + text + "\n")
        sys.stderr.flush()

    try:
        outcome = supervise(settings, config, say=say)
    except PmiError as error:
        say(f"failed: {error}")
        return 2
    say(f"ended; {outcome.num_run} episodes run now")
    return 0


if __name__ == "__main__":
    import signal

    def _stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, _stop)
    sys.exit(_main(Path(sys.argv[1])))
