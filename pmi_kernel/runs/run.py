"""A run: what is owed, what it is recorded as, and how it ends; by one process, in this one."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.folder import describe, plainly, write_json
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.system import System
from pmi_kernel.data import load_data
from pmi_kernel.runs.files import RECORD, Record, read
from pmi_kernel.runs.merge import ERRORS, done_ids, merge, write_summary, write_worker_summaries
from pmi_kernel.runs.owner import owned
from pmi_kernel.runs.record import add_provenance, check_same, make_record
from pmi_kernel.runs.request import save_request
from pmi_kernel.runs.settings import RunSettings, check_settings
from pmi_kernel.runs.worker import Worker
from pmi_kernel.systems import open_system

_ERRORS_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a call of `run` ended.

    Attributes:
        summary: As in `summary.json`; empty where it was stopped before anything was run.
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
        say: Told of anything unusual, a line at a time.

    Attributes:
        data: What is evaluated, all of it.
        num_done: Episodes that were done before.
        pending: Ids to run now, sorted, at most `limit`.

    Raises:
        DataError: The data cannot be read.
        ConfigError: The settings contradict each other, or the directory holds results of another
            configuration, or of one that is not known any more.
    """

    def __init__(
        self,
        settings: RunSettings,
        config: SystemConfig,
        say: Callable[[str], object] = lambda text: None,
    ) -> None:
        check_settings(settings, config)
        self.settings, self.config, self.out, self._say = settings, config, settings.out, say
        self.data = load_data(settings.data)
        done = done_ids(self.out)
        ids = sorted(example.task.id for example in self.data.examples)
        self.num_done = sum(episode_id in done for episode_id in ids)
        self.pending = [id_ for id_ in ids if id_ not in done][: settings.limit]
        self._start = time.perf_counter()
        self._before = read(Record, self.out)
        self._record: Mapping[str, Any] | None = self._before
        if self._before is not None:
            known = self._make_record({})
            del known["engine"]
            check_same(known, self._before, self.out)
        elif done:
            raise ConfigError(
                f"{self.out} holds results but no {RECORD}, so what made them is not known; put a "
                "copy back, or start in another folder"
            )
        else:
            save_request(config, settings)

    @property
    def is_recorded(self) -> bool:
        """Whether the directory has a record."""
        return self._record is not None

    def begin(self, engine: Mapping[str, str]) -> None:
        """Write the run's record, or compare with the one that is there.

        Raises:
            ConfigError: The directory holds a run with another configuration.
        """
        record, before = self._make_record(engine), self._before
        if before is None:
            write_json(self.out / RECORD, record)
        else:
            check_same(record, before, self.out)
            provenance, differing = add_provenance(before, record)
            for line in differing:
                self._say(f"{self.out}: gone on with by another version: {line}")
            began = {name: value for name, value in before.items() if name in ("versions", "git")}
            record |= began
            if provenance:
                record["provenance"] = provenance
            if differing:
                write_json(self.out / RECORD, {**before, "provenance": provenance})
        save_request(self.config, self.settings)
        self._record = record

    def _make_record(self, engine: Mapping[str, str]) -> dict[str, Any]:
        settings = self.settings
        return make_record(
            self.config,
            engine,
            self.data.source,
            self.data.sha256,
            is_probed=settings.probe,
            is_wrong_passage=settings.wrong_passage,
            concurrency=settings.concurrency,
        )

    def finish(self, num_errors: int) -> dict[str, Any]:
        """Merge the workers' files, write the summaries and return that of the whole run.

        It is empty where the run was not even begun.
        """
        if self._record is None:
            return {}
        try:
            merged = merge(self.out)
        except OSError:
            for left in self.out.glob("*.jsonl.partial"):
                left.unlink(missing_ok=True)  # of a full disk: room to say so
            raise
        write_worker_summaries(self.out)
        return write_summary(
            self.out,
            self._record,
            merged,
            num_pending=sum(example.task.id not in merged.ids for example in self.data.examples),
            num_errors=num_errors,
            wall_s=time.perf_counter() - self._start,
        )


def run(
    settings: RunSettings,
    config: SystemConfig,
    *,
    system: System | None = None,
    on_start: Callable[[int, int], object] = lambda done, pending: None,
    on_result: Callable[[EvalResult], object] = lambda result: None,
    say: Callable[[str], object] = lambda text: None,
) -> RunOutcome:
    """Run every pending episode in this process, one after the other.

    Args:
        settings: Data, run directory, limit; workers and concurrency do not matter here.
        config: The system's settings.
        system: A system of `config`; opened here where None.
        on_start: Called once with the numbers of episodes done and to be run now.
        on_result: Called after each finished episode.
        say: Told of anything unusual, a line at a time.

    Raises:
        DataError: The data cannot be read.
        ConfigError: The directory holds a run with another configuration, or has another owner.
        EngineError: Three episodes in a row failed in the engine; what is done is kept.
        RestoreError: `verify_restore` found the base weights changed.
    """
    settings = settings.model_copy(update={"concurrency": 1})
    with plainly(settings.out), owned(settings.out, say):
        job = Run(settings, config, say)
        system = system or open_system(config)
        description = system.describe()
        job.begin(description)
        on_start(job.num_done, len(job.pending))
        worker = Worker(f"{description.get('device', 'cpu')}0", settings, system, job.data.examples)
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
                            f"{_ERRORS_IN_A_ROW} episodes in a row failed; the last: "
                            f"{describe(error)}; see {settings.out}/{ERRORS}.{worker.name}.jsonl"
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
