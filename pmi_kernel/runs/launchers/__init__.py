"""Where a run's workers live: in this process, in others of this machine, or in a Ray cluster."""

from typing import Any, Protocol

from pmi_kernel.runs.devices import Slot

Message = tuple[Any, ...]
"""What a worker says, or is told; see `pmi_kernel.runs.worker.serve`."""


class Handle(Protocol):
    """A worker as the supervisor holds it, wherever it runs."""

    def send(self, *message: object) -> None:
        """Put a message in the worker's box; a dead worker's is lost."""
        ...

    def receive(self) -> list[Message] | None:
        """Return what came from the worker; None when it is dead and nothing is left to read."""
        ...

    def is_stopped(self) -> bool:
        """Whether its process is known to be held by a signal."""
        ...

    def kill(self) -> None:
        """End the worker at once, and wait until it is gone."""
        ...


class Launcher(Protocol):
    """Starts workers.

    Attributes:
        can_restart: Whether a worker that failed may be started anew, and an episode that failed
            under it be tried again.
    """

    can_restart: bool

    def start(self, slot: Slot) -> Handle:
        """Start a worker in a slot."""
        ...

    def wait(self, handles: list[Any], seconds: float) -> None:
        """Return when one of the workers has something to say, or after some seconds."""
        ...
