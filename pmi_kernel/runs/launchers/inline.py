"""The one worker in this very process: for notebooks, tests, and systems opened by hand."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from pmi_kernel.core.errors import EngineError
from pmi_kernel.core.folder import describe
from pmi_kernel.core.records import encode
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.system import System
from pmi_kernel.core.task import Example
from pmi_kernel.runs.devices import Slot
from pmi_kernel.runs.launchers import Message
from pmi_kernel.runs.settings import RunSettings
from pmi_kernel.runs.worker import Worker
from pmi_kernel.systems import open_system


class InlineHandle:
    """The worker in this process, which works while it is listened to; see `Handle`."""

    def __init__(self, worker: Worker, system: System, *, is_own: bool) -> None:
        self._worker, self._system, self._is_own = worker, system, is_own
        self._waiting: deque[str] = deque()
        self._said: list[Message] = [("ready", dict(system.describe()))]
        self._is_open = True

    def send(self, *message: Any) -> None:
        """See `Handle.send`."""
        if message[0] == "stop":
            self.kill()
        else:
            self._waiting.append(message[1])

    def receive(self) -> list[Message] | None:
        """Run an episode that waits, and return how it ended; see `Handle.receive`.

        What it raises that is no failure of the engine ends the run, with its own traceback.
        """
        said, self._said = self._said, []
        if said or not self._is_open:
            return said if self._is_open else None
        if not self._waiting:
            return []
        episode_id = self._waiting.popleft()
        try:
            return [("done", episode_id, encode(self._worker.episode(episode_id)))]
        except EngineError as error:
            self._worker.note(episode_id, error)
            return [("failed", episode_id, describe(error))]

    def is_stopped(self) -> bool:
        """See `Handle.is_stopped`."""
        return False

    def kill(self) -> None:
        """See `Handle.kill`; a system that was handed in stays open."""
        if self._is_open:
            self._is_open = False
            self._worker.close()
            if self._is_own:
                self._system.close()


class InlineLauncher:
    """Starts the one worker; see `Launcher`.

    Args:
        settings: Of the run.
        config: The system's settings.
        examples: All of the run's data.
        system: A system of `config`; opened here where None.
    """

    can_restart = False

    def __init__(
        self,
        settings: RunSettings,
        config: SystemConfig,
        examples: Sequence[Example],
        system: System | None,
    ) -> None:
        self._settings, self._config, self._examples = settings, config, examples
        self._system = system

    def start(self, slot: Slot) -> InlineHandle:
        """See `Launcher.start`."""
        system = self._system or open_system(self._config)
        worker = Worker(slot.name, self._settings, system, self._examples)
        return InlineHandle(worker, system, is_own=self._system is None)

    def wait(self, handles: list[Any], seconds: float) -> None:
        """See `Launcher.wait`: there is nothing to wait for."""
