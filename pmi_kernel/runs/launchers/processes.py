"""Workers as processes of this machine, started afresh (spawn), spoken to through pipes."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import psutil

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.runs.devices import Slot
from pmi_kernel.runs.launchers import Message
from pmi_kernel.runs.settings import RunSettings
from pmi_kernel.runs.worker import serve


class ProcessHandle:
    """One worker process; see `Handle`."""

    def __init__(self, process: Any, connection: Connection) -> None:
        self.process, self.connection = process, connection
        self._is_open = True

    def send(self, *message: object) -> None:
        """See `Handle.send`."""
        with suppress(OSError):
            self.connection.send(message)

    def receive(self) -> list[Message] | None:
        """See `Handle.receive`."""
        messages: list[Message] = []
        try:
            while self._is_open and self.connection.poll():
                messages.append(self.connection.recv())
        except (EOFError, OSError):
            self._is_open = False
        return messages if self._is_open or messages else None

    def is_stopped(self) -> bool:
        """See `Handle.is_stopped`."""
        try:
            return bool(psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED)
        except psutil.Error:
            return False

    def kill(self) -> None:
        """See `Handle.kill`."""
        self.process.kill()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what an engine had started
        self.process.join()
        self._is_open = False
        self.connection.close()


class ProcessLauncher:
    """Starts worker processes; see `Launcher`."""

    can_restart = True

    def __init__(self, settings: RunSettings, config: SystemConfig, data_sha256: str) -> None:
        self._settings, self._config, self._data_sha256 = settings, config, data_sha256
        self._context = multiprocessing.get_context("spawn")

    def start(self, slot: Slot) -> ProcessHandle:
        """See `Launcher.start`."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve,
            args=(
                theirs,
                slot.name,
                self._settings,
                self._config,
                self._data_sha256,
                slot.environment,
            ),
            daemon=True,
            name=slot.name,
        )
        with _environment(slot.environment):
            process.start()
        theirs.close()
        return ProcessHandle(process, ours)

    def wait(self, handles: list[Any], seconds: float) -> None:
        """See `Launcher.wait`."""
        connections = [h.connection for h in cast("list[ProcessHandle]", handles) if h._is_open]
        if connections:
            wait(connections, seconds)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a child that is started meanwhile: some are read before its first line."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
