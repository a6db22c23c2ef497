"""A run: what is owed, who owns the directory, and how it ends; by one process, in this one."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from pmi_kernel.batch.merge import ERRORS, done_ids, merge, write_summary, write_worker_summaries
from pmi_kernel.batch.record import check_same, make_record, read_json, write_json
from pmi_kernel.batch.settings import RunSettings
from pmi_kernel.batch.worker import Worker, seed_everything
from pmi_kernel.config import SystemConfig
from pmi_kernel.data import data_hash, load_examples, resolve_source
from pmi_kernel.episode import System
from pmi_kernel.errors import ConfigError, EngineError
from pmi_kernel.types import EvalResult, Example

_ERRORS_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a call of `run` ended.

    Attributes:
        summary: As in `summary.json`.
        num_run: Episodes finished by this call.
        is_interrupted: Whether it was stopped early.
    """

    summary: dict[str, Any]
    num_run: int
    is_interrupted: bool


class Run:
    """A run directory under one owner.

    Args:
        settings: Data, directory, limit.
        config: The system's settings.

    Attributes:
        examples: All of the data.
        num_done: Episodes that were done before.
        pending: Ids to run now, sorted, at most `limit`.

    Raises:
        DataError: The data cannot be read.
    """

    def __init__(self, settings: RunSettings, config: SystemConfig) -> None:
        self.settings, self.config, self.out = settings, config, settings.out
        self.examples: list[Example] = load_examples(settings.data)
        done = done_ids(self.out)
        ids = sorted(example.task.id for example in self.examples)
        self.num_done = sum(episode_id in done for episode_id in ids)
        self.pending = [id_ for id_ in ids if id_ not in done][: settings.limit]
        self._record: dict[str, Any] | None = None
        self._start = time.perf_counter()

    def begin(self, engine: Mapping[str, str]) -> None:
        """Write the run's record, or compare with the one that is there.

        Raises:
            ConfigError: The directory holds a run with another configuration.
        """
        settings = self.settings
        record = make_record(
            self.config,
            engine,
            resolve_source(settings.data),
            data_hash(settings.data),
            is_probed=settings.probe,
            is_wrong_passage=settings.wrong_passage,
            concurrency=settings.concurrency,
        )
        path = self.out / "config.json"
        if path.exists():
            check_same(record, path)
        else:
            write_json(path, record)
        self._record = record

    def finish(self, num_errors: int) -> dict[str, Any]:
        """Merge the workers' files, write the summaries and return that of the whole run."""
        merged = merge(self.out)
        write_worker_summaries(self.out)
        record = self._record or read_json(self.out / "config.json")
        return write_summary(
            self.out,
            record,
            merged,
            num_pending=len(self.examples) - merged.num_episodes,
            num_errors=num_errors,
            wall_s=time.perf_counter() - self._start,
        )


@contextmanager
def owned(out: Path, say: Callable[[str], object] = lambda text: None) -> Iterator[None]:
    """Own a run directory: one process at a time; an owner that died is taken over from.

    Args:
        out: The directory; made where it is not there.
        say: Told of a take-over.

    Raises:
        ConfigError: Another process owns it.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock, path = FileLock(out / "run.lock"), out / "owner.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = read_json(path, {})
        raise ConfigError(
            f"{out}: another process is running this run (pid {owner.get('pid', '?')} on "
            f"{owner.get('host', 'this machine')}); `pmi jobs cancel {out}` stops it"
        ) from None
    try:
        before = read_json(path, {})
        if before and before.get("pid") != os.getpid():
            say(f"{out}: taking over from pid {before.get('pid')}, which ended without a word")
        write_json(path, identity(os.getpid()))
        yield
        path.unlink(missing_ok=True)
    finally:
        lock.release()


def identity(pid: int) -> dict[str, Any]:
    """Return what tells a process from a later one with the same pid."""
    return {
        "pid": pid,
        "started": psutil.Process(pid).create_time(),
        "host": socket.gethostname(),
    }


def run(
    settings: RunSettings,
    config: SystemConfig,
    *,
    system: System | None = None,
    on_start: Callable[[int, int], object] = lambda done, pending: None,
    on_result: Callable[[EvalResult], object] = lambda result: None,
) -> RunOutcome:
    """Run every pending episode in this process, one after the other.

    Args:
        settings: Data, run directory, limit; workers and concurrency do not matter here.
        config: The system's settings.
        system: A system built from `config`, whose engine serves; built here where None.
        on_start: Called once with the numbers of episodes done and to be run now.
        on_result: Called after each finished episode.

    Raises:
        DataError: The data cannot be read.
        ConfigError: The directory holds a run with another configuration, or has another owner.
        EngineError: Three episodes in a row failed in the engine; what is done is kept.
        RestoreError: `verify_restore` found the base weights changed.
    """
    settings = settings.model_copy(update={"concurrency": 1})
    with owned(settings.out):
        job = Run(settings, config)
        if config.engine != "scripted":
            seed_everything(config.seed)
        engine = (system or config.build()).engine
        description = engine.describe()
        job.begin(description)
        on_start(job.num_done, len(job.pending))
        worker = Worker(f"{description['device']}0", settings, config, engine, job.examples)
        num_run = num_errors = errors_in_a_row = 0
        is_interrupted = False
        try:
            for episode_id in job.pending:
                try:
                    result = worker.episode(episode_id)
                except EngineError as error:
                    worker.note(episode_id, error)
                    num_errors, errors_in_a_row = num_errors + 1, errors_in_a_row + 1
                    if errors_in_a_row == _ERRORS_IN_A_ROW:
                        raise EngineError(
                            f"{_ERRORS_IN_A_ROW} episodes in a row failed; the last: {error}; "
                            f"see {settings.out}/{ERRORS}.{worker.name}.jsonl"
                        ) from error
                    continue
                num_run, errors_in_a_row = num_run + 1, 0
                on_result(result)
        except KeyboardInterrupt:
            is_interrupted = True
        finally:
            worker.close()
            summary = job.finish(num_errors)
        return RunOutcome(summary, num_run, is_interrupted)
