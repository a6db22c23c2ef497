"""A worker: one engine, its own files, and one or more episodes at a time."""

import json
import os
import queue
import signal
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout

from pmi_kernel.core import progress
from pmi_kernel.core.errors import ConfigError, DataError, PmiError, RestoreError
from pmi_kernel.core.folder import describe, plainly, writable
from pmi_kernel.core.records import RecordWriter, encode
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.system import Misleads, System
from pmi_kernel.core.task import Example, Task
from pmi_kernel.core.trace import EndReason
from pmi_kernel.data import Examples, load_data
from pmi_kernel.episodes.controls import Controls
from pmi_kernel.episodes.episode import Episode, evaluate
from pmi_kernel.episodes.probes import Prober, check_controls, verified_restore
from pmi_kernel.runs import underway
from pmi_kernel.runs.merge import ERRORS, RESULTS, TRACES
from pmi_kernel.runs.settings import RunSettings
from pmi_kernel.systems import open_system

_FATAL = (RestoreError, ConfigError)
"""Errors that end a run: the weights are not what they were, or nothing can be written."""

_BEAT_S = 0.5
_REPORT_S = 0.2


class Worker:
    """Runs episodes on one engine and appends what they came to to its own files.

    Threads may share it: each episode has its own memory.

    Args:
        name: Goes into the names of its files, e.g. `cpu0`.
        settings: Of the run.
        system: Takes every episode.
        examples: All of the run's data.
        stages: Kept up to date with how far each running episode is, by id and in words.

    Raises:
        ConfigError: Another worker of this name is still at its files, or more episodes are to run
            at once than the system can, or it is to be probed or misled and cannot be.
    """

    def __init__(
        self,
        name: str,
        settings: RunSettings,
        system: System,
        examples: Sequence[Example],
        stages: dict[str, str] | None = None,
    ) -> None:
        most = system.max_concurrency
        if most is not None and settings.concurrency > most:
            raise ConfigError(
                f"a system set like this holds {most} memory at a time, so that concurrency can be "
                f"{most} at most, and is {settings.concurrency}"
            )
        check_controls(
            system,
            is_asked=settings.probe or settings.verify_restore,
            is_misled=settings.wrong_passage,
        )
        self.name = name
        self._stages = {} if stages is None else stages
        self._watch = progress.Watch(above=progress.current())
        self._settings, self._system = settings, system
        self._examples = Examples.of(examples)
        self._controls = Controls(self._examples, system.config)
        self._files = FileLock(settings.out / f".{name}.lock")
        try:
            self._files.acquire(timeout=30)
        except Timeout:
            raise ConfigError(f"{settings.out}: another worker {name} is running") from None
        self._traces = RecordWriter(settings.out / f"{TRACES}.{name}.jsonl")
        self._results = RecordWriter(settings.out / f"{RESULTS}.{name}.jsonl")
        self._lock = threading.Lock()

    def episode(self, episode_id: str) -> EvalResult:
        """Run one episode, append its trace, then its result, and return the result.

        Until then its steps so far are kept; see `underway`.

        Raises:
            EngineError: The engine failed; the episode stays pending.
            RestoreError: `verify_restore` found the base weights changed.
            ConfigError: It could not be written; the episode stays pending.
            Stopped: The worker was stopped; the episode stays pending.
        """

        def hear(report: progress.Report) -> None:
            self._stages[episode_id] = str(report)

        watch = progress.Watch(hear, every_s=_REPORT_S, above=self._watch)
        self._stages[episode_id] = "start"
        try:
            with progress.watched(watch):
                return self._episode(episode_id)
        finally:
            self._stages.pop(episode_id, None)

    def _episode(self, episode_id: str) -> EvalResult:
        settings, example = self._settings, self._examples.by_id(episode_id)
        system, other, num_passed_over = self._system, None, 0
        if settings.probe or settings.wrong_passage:
            control = self._controls.of(example)
            other, num_passed_over = control.task, control.num_passed_over
        if settings.wrong_passage:
            system = _misled(system, other)
        prober = (
            Prober(
                self._system,
                example,
                control=other,
                # What shares a batch moves scores by rounding.
                is_restore_checked=settings.concurrency == 1,
            )
            if settings.probe
            else None
        )
        check = verified_restore(self._system) if settings.verify_restore else nullcontext()
        with check, Episode(system, example, observer=prober) as episode:
            while (step := episode.step()) is not None:
                if step.end_reason in (None, EndReason.STOPPED):
                    with plainly(settings.out):
                        underway.keep(settings.out, episode.trace)
            progress.check()
        trace = episode.trace
        result = evaluate(example, trace)
        if num_passed_over:
            costs = {**result.costs, "controls_passed_over": num_passed_over}
            result = replace(result, costs=costs)
        with self._lock, plainly(settings.out):
            self._traces.write(trace)
            self._results.write(result)
            underway.drop(settings.out, episode_id)
        return result

    def stop(self) -> None:
        """Stop the episodes that run now, at the next token, training step or question."""
        self._watch.stop()

    def note(self, episode_id: str, error: BaseException) -> None:
        """Keep an error; the episode stays pending.

        Raises:
            ConfigError: It could not be written.
        """
        with self._lock, plainly(self._settings.out):
            note_error(self._settings.out, self.name, episode_id, error)

    def close(self) -> None:
        """Close the files."""
        self._traces.close()
        self._results.close()
        self._files.release()


def _misled(system: System, other: Task | None) -> System:
    if not isinstance(system, Misleads) or other is None:
        raise ConfigError(
            "wrong_passage needs a system that learns, and for each question another one whose "
            "context does not hold its answer"
        )
    return system.misled_by(other)


def note_error(out: Path, name: str, episode_id: str, error: BaseException) -> None:
    """Append a line to a run's `errors.NAME.jsonl`."""
    details = "".join(traceback.format_exception(error))
    line = {"episode_id": episode_id, "error": describe(error), "traceback": details}
    path = out / f"{ERRORS}.{name}.jsonl"
    # A lone surrogate in an engine's text is written as JSON's own escape.
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def serve(
    connection: Connection,
    name: str,
    settings: RunSettings,
    config: SystemConfig,
    data_sha256: str,
    environment: Mapping[str, str],
) -> None:
    """Run the episodes that a supervisor hands out; the main function of a worker process.

    Messages in: `("run", id)` and `("stop",)`. Messages out: `("ready", description)`,
    `("begun", id)`, `("done", id, line)`, `("failed", id, error)`, `("fatal", kind, error)`,
    `("beat", facts)`.
    When the supervisor is gone the process ends at once: what was not committed is owed again.
    Whatever else ends it is said to the supervisor first.
    """
    if threading.current_thread() is threading.main_thread():  # it is not in a Ray actor
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.setpgrp()  # an engine may have processes of its own, which end with this one
    os.environ.update(environment)
    out = _Link(connection)
    try:
        _serve(out, name, settings, config, data_sha256)
    except PmiError as error:
        out.send("fatal", type(error).__name__, writable(str(error)))
    except BaseException as error:
        with suppress(OSError):  # the supervisor is told below
            note_error(settings.out, name, "", error)
        out.send("fatal", type(error).__name__, describe(error))


def _serve(
    out: "_Link", name: str, settings: RunSettings, config: SystemConfig, data_sha256: str
) -> None:
    stages: dict[str, str] = {}
    threading.Thread(target=_beat, args=(stages, out), daemon=True).start()
    data = load_data(settings.source)
    if data.sha256 != data_sha256:
        raise DataError(
            f"{data.source} was replaced while the run goes on: sha256 {data_sha256} when it "
            f"began, {data.sha256} now; put the first one back, or use another folder"
        )
    system = open_system(config)
    with plainly(settings.out):
        worker = Worker(name, settings, system, data.examples, stages)
    out.send("ready", dict(system.describe()))
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=_work, args=(worker, waiting, out), daemon=True)
        for _ in range(settings.concurrency)
    ]
    for thread in threads:
        thread.start()
    while (message := out.receive())[0] != "stop":
        waiting.put(message[1])
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    worker.close()
    system.close()


def _end_at_once() -> NoReturn:
    """End this process and those that it started: the supervisor is gone."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class _Link:
    """The way between a worker's threads and its supervisor."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, *message: object) -> None:
        with self._lock:
            try:
                self._connection.send(message)
            except OSError:
                _end_at_once()

    def receive(self) -> tuple[Any, ...]:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            _end_at_once()


def _work(worker: Worker, waiting: "queue.SimpleQueue[str | None]", out: _Link) -> None:
    while (episode_id := waiting.get()) is not None:
        out.send("begun", episode_id)
        out.send(*_outcome(worker, episode_id))


def _outcome(worker: Worker, episode_id: str) -> tuple[str, str, str]:
    """Run an episode and return the message that says how it ended, whatever it raises."""
    try:
        try:
            return "done", episode_id, encode(worker.episode(episode_id))
        except _FATAL:
            raise
        except BaseException as error:  # a thread that ended silently would hold up the run
            worker.note(episode_id, error)
            return "failed", episode_id, describe(error)
    except BaseException as error:
        text = writable(str(error)) if isinstance(error, PmiError) else describe(error)
        return "fatal", type(error).__name__, text


def _beat(stages: dict[str, str], out: _Link) -> None:
    import psutil

    process, pause = psutil.Process(), threading.Event()
    while not pause.wait(_BEAT_S):
        facts = {"stages": dict(stages), "rss_mb": process.memory_info().rss / 1e6}
        out.send("beat", facts)
