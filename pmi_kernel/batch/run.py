"""One run in one process: what is pending, worked off, and merged, whatever happens meanwhile."""

import json
import random
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from pydantic import Field

from pmi_kernel.batch.merge import ERRORS, RESULTS, TRACES, merge, read_results, write_summary
from pmi_kernel.batch.record import check_same, make_record, write_json
from pmi_kernel.config import Settings, SystemConfig
from pmi_kernel.data import data_hash, data_path, load_examples
from pmi_kernel.episode import Episode, System, evaluate
from pmi_kernel.errors import ConfigError, EngineError
from pmi_kernel.probes import Prober, verified_restore
from pmi_kernel.records import RecordWriter
from pmi_kernel.types import EvalResult, Example

_ERRORS_IN_A_ROW = 3


class RunSettings(Settings):
    """What is run and where it goes."""

    data: str = "sample"
    """Questions: sample (embedded), hotpotqa, hotpotqa-train, or a file in HotpotQA's layout."""
    out: Path = Path("runs/latest")
    """Run directory; a run that is there already is gone on with."""
    limit: Annotated[int | None, Field(ge=0)] = None
    """Most episodes to run now, counting pending ones only."""
    probe: bool = False
    """Measure around each injection: answers, gold log-probability, control, drift."""
    verify_restore: bool = False
    """Check after each episode that base scores are bit-equal to those before it."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a call of `run` ended.

    Attributes:
        summary: As in `summary.json`.
        num_run: Episodes finished by this call.
        is_interrupted: Whether Ctrl-C ended it early.
    """

    summary: dict[str, Any]
    num_run: int
    is_interrupted: bool


def run(
    settings: RunSettings,
    config: SystemConfig,
    *,
    system: System | None = None,
    on_start: Callable[[int, int], object] = lambda done, pending: None,
    on_result: Callable[[EvalResult], object] = lambda result: None,
) -> RunOutcome:
    """Run every pending episode and write the run directory's files.

    Args:
        settings: Data, run directory, limit.
        config: The system's settings.
        system: A system built from `config`; built here where None.
        on_start: Called once with the numbers of episodes done and to be run now.
        on_result: Called after each finished episode.

    Raises:
        DataError: The data cannot be read.
        ConfigError: The directory holds a run with another configuration, or has another owner.
        EngineError: Three episodes in a row failed in the engine; what is done is kept.
        RestoreError: `verify_restore` found the base weights changed.
    """
    examples = load_examples(settings.data)
    settings.out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.out / "run.lock", timeout=0):
            return _run(settings, config, examples, system, on_start, on_result)
    except Timeout:
        raise ConfigError(f"{settings.out}: another process is running this run") from None


def _run(
    settings: RunSettings,
    config: SystemConfig,
    examples: list[Example],
    system: System | None,
    on_start: Callable[[int, int], object],
    on_result: Callable[[EvalResult], object],
) -> RunOutcome:
    start = time.perf_counter()
    out = settings.out
    done = read_results(out)
    pending = sorted(
        (example for example in examples if example.task.id not in done),
        key=lambda example: example.task.id,
    )
    seed_everything(config.seed)
    system = system or config.build()
    record = make_record(
        config,
        system.engine.describe(),
        _source(settings.data),
        data_hash(settings.data),
        is_probed=settings.probe,
    )
    if (out / "config.json").exists():
        check_same(record, out / "config.json")
    else:
        write_json(out / "config.json", record)
    batch = pending[: settings.limit]
    on_start(len(done), len(batch))
    work = _Work(settings, system, examples, name=f"{record['engine']['device']}0")
    is_interrupted = False
    try:
        for example in batch:
            result = work.episode(example)
            if result is not None:
                on_result(result)
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        work.close()
        num_done = len(merge(out))
        summary = write_summary(
            out,
            record,
            num_pending=len(examples) - num_done,
            num_errors=work.num_errors,
            wall_s=time.perf_counter() - start,
        )
        write_json(out / f"summary.{work.name}.json", {**summary, "num_run": work.num_run})
    return RunOutcome(summary, work.num_run, is_interrupted)


def _source(data: str) -> str:
    """A data set's name as it stands, or the file's absolute path, for a later resume."""
    path = data_path(data)
    return data if path != Path(data) else str(path.resolve())


class _Work:
    """One worker's files and what it does with an episode."""

    def __init__(
        self, settings: RunSettings, system: System, examples: list[Example], *, name: str
    ) -> None:
        self.name = name
        self.num_run = self.num_errors = self._errors_in_a_row = 0
        self._settings = settings
        self._system = system
        ordered = sorted(examples, key=lambda example: example.task.id)
        self._next = {
            example.task.id: ordered[(place + 1) % len(ordered)].task
            for place, example in enumerate(ordered)
            if len(ordered) > 1
        }
        self._traces = RecordWriter(settings.out / f"{TRACES}.{name}.jsonl")
        self._results = RecordWriter(settings.out / f"{RESULTS}.{name}.jsonl")

    def episode(self, example: Example) -> EvalResult | None:
        """Run one episode; None where the engine failed and the episode stays pending.

        Raises:
            EngineError: It is the third in a row that failed.
        """
        system, settings = self._system, self._settings
        prober = (
            Prober(system.engine, example, system=system, control=self._next.get(example.task.id))
            if settings.probe
            else None
        )
        check = verified_restore(system.engine) if settings.verify_restore else nullcontext()
        try:
            with check, Episode(system, example, observer=prober) as episode:
                trace = episode.run()
        except EngineError as error:
            self._note(example, error)
            if self._errors_in_a_row >= _ERRORS_IN_A_ROW:
                raise EngineError(
                    f"{_ERRORS_IN_A_ROW} episodes in a row failed; the last: {error}; "
                    f"see {self._settings.out}/{ERRORS}.{self.name}.jsonl"
                ) from error
            return None
        result = evaluate(example, trace)
        self._traces.write(trace)
        self._results.write(result)
        self._errors_in_a_row = 0
        self.num_run += 1
        return result

    def close(self) -> None:
        """Close the files."""
        self._traces.close()
        self._results.close()

    def _note(self, example: Example, error: EngineError) -> None:
        self.num_errors += 1
        self._errors_in_a_row += 1
        line = {
            "episode_id": example.task.id,
            "error": str(error),
            "traceback": "".join(traceback.format_exception(error)),
        }
        with (self._settings.out / f"{ERRORS}.{self.name}.jsonl").open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def seed_everything(seed: int) -> None:
    """Seed random, numpy and torch."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
