"""A run: what is owed, what it is recorded as, and how it ends."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import write_json
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.data import Data, load_data
from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.runs.files import RECORD
from pmi_kernel.runs.merge import done_ids, merge, write_summary, write_worker_summaries
from pmi_kernel.runs.record import add_provenance, check_same, make_record
from pmi_kernel.runs.request import save_request
from pmi_kernel.runs.settings import RunSettings, check_settings


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a call of `run` or `supervise` ended.

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
        self.data = load_data(settings.source)
        _check_context(config, self.data)
        done = done_ids(self.out)
        ids = sorted(self.data.examples.ids)
        self.num_done = sum(episode_id in done for episode_id in ids)
        self.pending = [id_ for id_ in ids if id_ not in done][: settings.limit]
        self._start = time.perf_counter()
        self._before = RECORD.read(self.out)
        self._record: Mapping[str, Any] | None = self._before
        if self._before is not None:
            known = self._make_record({})
            del known["engine"]
            check_same(known, self._before, self.out)
        elif done:
            raise ConfigError(
                f"{self.out} holds results but no {RECORD.name}, so what made them is not known; "
                "put a copy back, or start in another folder"
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
            write_json(RECORD.at(self.out), record)
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
                write_json(RECORD.at(self.out), {**before, "provenance": provenance})
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
            num_pending=sum(id_ not in merged.ids for id_ in self.data.examples.ids),
            num_errors=num_errors,
            wall_s=time.perf_counter() - self._start,
        )


def _check_context(config: SystemConfig, data: Data) -> None:
    """Refuse questions without paragraphs where a system has nothing else to search."""
    if not isinstance(config, RetrievalConfig):
        return
    if not config.needs_context:
        config.build_retriever()  # an index that cannot be searched is told of before any loading
        return
    if not any(example.task.context for example in data.examples):
        raise ConfigError(
            f"{data.source}: its questions have no paragraphs, so that --retriever "
            f"{config.retriever} has nothing to search; search a corpus, or use --system "
            "closed_book"
        )
