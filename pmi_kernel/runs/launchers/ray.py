"""Workers as actors of a Ray cluster: the same worker, on any of its machines.

The run directory must be on a disk that all machines share.
"""

import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.runs.devices import Slot
from pmi_kernel.runs.launchers import Message
from pmi_kernel.runs.settings import RunSettings
from pmi_kernel.runs.worker import serve


class _Pipe:
    """Both ends of what `serve` speaks through, within one actor."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.outbox: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def recv(self) -> Message:
        return self.inbox.get()

    def send(self, message: Message) -> None:
        self.outbox.put(message)


class _Actor:
    """One worker in its own Ray process."""

    def __init__(
        self,
        name: str,
        settings: RunSettings,
        config: SystemConfig,
        data_sha256: str,
        environment: Mapping[str, str],
    ) -> None:
        self._pipe = _Pipe()
        arguments = (self._pipe, name, settings, config, data_sha256, environment)
        self._thread = threading.Thread(target=serve, args=arguments, daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        self._pipe.inbox.put(message)

    def receive(self, wait_s: float) -> tuple[list[Message], bool]:
        """Return what the worker said meanwhile, and whether it is still there."""
        is_alive = self._thread.is_alive()
        messages = []
        with suppress(queue.Empty):
            messages.append(self._pipe.outbox.get(timeout=wait_s))
            while True:
                messages.append(self._pipe.outbox.get_nowait())
        return messages, is_alive


class RayHandle:
    """One worker actor; see `Handle`."""

    def __init__(self, actor: Any, ray: Any) -> None:
        self._actor, self._ray = actor, ray
        self.pending = actor.receive.remote(0.5)
        self._is_alive = True

    def send(self, *message: object) -> None:
        """See `Handle.send`."""
        if self._is_alive:
            self._actor.send.remote(message)

    def receive(self) -> list[Message] | None:
        """See `Handle.receive`."""
        if not self._is_alive:
            return None
        if not self._ray.wait([self.pending], timeout=0)[0]:
            return []
        try:
            messages, self._is_alive = self._ray.get(self.pending)
        except self._ray.exceptions.RayError:
            self._is_alive = False
            return None
        self.pending = self._actor.receive.remote(0.5)
        return messages

    def is_stopped(self) -> bool:
        """See `Handle.is_stopped`; it may be on another machine."""
        return False

    def kill(self) -> None:
        """See `Handle.kill`."""
        self._is_alive = False
        self._ray.kill(self._actor)


class RayLauncher:
    """Starts worker actors; see `Launcher`.

    Raises:
        ConfigError: Ray is not installed.
    """

    can_restart = True

    def __init__(self, settings: RunSettings, config: SystemConfig, data_sha256: str) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("launcher ray needs Ray: pip install 'pmi-workbench[ray]'") from None
        self._ray, self._settings, self._config = ray, settings, config
        self._data_sha256 = data_sha256
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)

    def start(self, slot: Slot) -> RayHandle:
        """See `Launcher.start`; a GPU slot asks the cluster for one GPU, which Ray chooses."""
        is_gpu = slot.name.startswith("gpu")
        environment = {} if is_gpu else slot.environment
        options: dict[str, Any] = {"num_gpus": 1} if is_gpu else {"num_cpus": 1}
        kind = self._ray.remote(_Actor).options(
            max_concurrency=4, runtime_env={"env_vars": environment}, **options
        )
        name = slot.name.replace("gpu", "ray-gpu").replace("cpu", "ray-cpu")
        settings = self._settings.model_copy(update={"out": self._settings.out.resolve()})
        actor = kind.remote(name, settings, self._config, self._data_sha256, environment)
        return RayHandle(actor, self._ray)

    def wait(self, handles: list[Any], seconds: float) -> None:
        """See `Launcher.wait`."""
        pending = [handle.pending for handle in handles if handle._is_alive]
        if pending:
            self._ray.wait(pending, timeout=seconds)
