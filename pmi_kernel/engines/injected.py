"""The one way in which memories are put into an engine and taken out again."""

from types import TracebackType
from typing import Self

from pmi_kernel.core import progress
from pmi_kernel.engines.base import Adapter, Engine
from pmi_kernel.lora.config import LoraConfig, accumulate
from pmi_kernel.lora.weights import LoraWeights


class Injected:
    """A memory in force within a `with`: `with injected(engine, weights) as memory`.

    Attributes:
        adapter: The memory's handle; None while nothing is in force.
    """

    def __init__(self, engine: Engine) -> None:
        self.adapter: Adapter | None = None
        self._engine = engine

    def put(self, weights: LoraWeights) -> Adapter:
        """Put a memory in force, in place of the one that is there; nothing stops it half way.

        Raises:
            EngineError: As `Engine.attach`.
        """
        with progress.watched(None):
            self.adapter = self._engine.attach(weights, replaces=self.adapter)
        return self.adapter

    def add(self, new: LoraWeights, lora: LoraConfig) -> Adapter:
        """Put a new memory in force with the one that is there, as its config accumulates them.

        Raises:
            EngineError: As `Engine.attach`.
        """
        return self.put(accumulate(self.adapter.weights if self.adapter else None, new, lora))

    def take_out(self) -> None:
        """Take the memory out, whoever asks for a stop; nothing happens where none is in force.

        Raises:
            EngineError: As `Engine.detach`.
        """
        if self.adapter is not None:
            adapter, self.adapter = self.adapter, None
            with progress.watched(None):
                self._engine.detach(adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.take_out()


def injected(engine: Engine, weights: LoraWeights | None = None) -> Injected:
    """Return a context in which `weights`, or what is `put` later, is in force.

    Raises:
        EngineError: As `Engine.attach`.
    """
    memory = Injected(engine)
    if weights is not None:
        memory.put(weights)
    return memory
