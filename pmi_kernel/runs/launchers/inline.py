"""The one worker in this very process: for notebooks, tests, and systems opened by hand."""

import queue
import threading
from collections import deque
from collections.abc import Mapping, Sequence
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
    """The worker in a thread of this process, one episode after the other; see `Handle`."""

    def __init__(
        self, worker: Worker, system: System, stages: Mapping[str, str], *, is_own: bool
    ) -> None:
        self._worker, self._system, self._is_own = worker, system, is_own
        self._stages = stages
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._said: deque[Message] = deque([("ready", dict(system.describe()))])
        self._failure: BaseException | None = None
        self._is_open = True
        self.has_spoken = threading.Event()
        """Set when there is something to receive."""
        self._thread = threading.Thread(target=self._serve, name="episodes", daemon=True)
        self._thread.start()

    def send(self, *message: Any) -> None:
        """See `Handle.send`."""
        if message[0] == "stop":
            self.kill()
        else:
            self._waiting.put(message[1])

    def receive(self) -> list[Message] | None:
        """See `Handle.receive`; it is never silent.

        What an episode raises that is no failure of the engine ends the run, with its own
        traceback.
        """
        if not self._is_open:
            return None
        self.has_spoken.clear()
        said: list[Message] = [("beat", {"stages": dict(self._stages)})]
        while self._said:
            said.append(self._said.popleft())
        if self._failure is not None and len(said) == 1:
            raise self._failure
        return said

    def is_stopped(self) -> bool:
        """See `Handle.is_stopped`."""
        return False

    def kill(self) -> None:
        """See `Handle.kill`; a system that was handed in stays open."""
        if self._is_open:
            self._is_open = False
            self._worker.stop()
            self._waiting.put(None)
            self._thread.join()
            self._worker.close()
            if self._is_own:
                self._system.close()

    def _serve(self) -> None:
        try:
            while self._is_open and (episode_id := self._waiting.get()) is not None:
                self._said.append(self._outcome(episode_id))
                self.has_spoken.set()
        except BaseException as error:
            self._failure = error
            self.has_spoken.set()

    def _outcome(self, episode_id: str) -> Message:
        try:
            return "done", episode_id, encode(self._worker.episode(episode_id))
        except EngineError as error:
            self._worker.note(episode_id, error)
            return "failed", episode_id, describe(error)


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
        stages: dict[str, str] = {}
        worker = Worker(slot.name, self._settings, system, self._examples, stages)
        return InlineHandle(worker, system, stages, is_own=self._system is None)

    def wait(self, handles: list[Any], seconds: float) -> None:
        """See `Launcher.wait`."""
        for handle in handles:
            handle.has_spoken.wait(seconds)
