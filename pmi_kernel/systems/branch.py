"""A system on a chat engine for one episode, which can be repeated and go on otherwise."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pmi_kernel.core.system import Changes, System
from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import Step
from pmi_kernel.engines.base import Engine, Generation
from pmi_kernel.engines.tape import ChangedTraining, Taped, TapedEngine
from pmi_kernel.systems.config import ChatConfig


@dataclass(frozen=True, slots=True)
class Altered:
    """What a change comes to.

    Attributes:
        config: The settings from here on.
        said: What takes the place of the engine's next answers.
        training: What is trained otherwise.
    """

    config: ChatConfig
    said: tuple[Generation, ...] = ()
    training: ChangedTraining = field(default_factory=ChangedTraining)


class Repeatable(System, Changes, Protocol):
    """A system on an engine, made of its settings and that engine alone."""

    engine: Engine

    def altered(self, config: Any, step: Step, changes: Mapping[str, object]) -> Altered:
        """Return what changes of a step come to, for a branch whose settings are `config`.

        Raises:
            ValueError: A value is not one that the field can have.
        """
        ...


class ChatBranch:
    """See `Branch`. Its steps before a fork are those of the original, at no cost.

    Args:
        origin: The system whose episode it is; it is never touched.
        config: The settings.
        tape: The answers that are played first.
        training: What is trained otherwise after them.
    """

    def __init__(
        self,
        origin: Repeatable,
        config: ChatConfig,
        tape: Sequence[Taped] = (),
        training: ChangedTraining = ChangedTraining(),
    ) -> None:
        self._origin = origin
        self._engine = TapedEngine(origin.engine, tape, training)
        self._system: Repeatable = type(origin)(config, self._engine)  # type: ignore[call-arg]
        self.config = config
        self.loaded = origin.loaded
        self.max_concurrency = origin.max_concurrency

    @property
    def tape(self) -> Sequence[Taped]:
        """See `Branch.tape`."""
        return self._engine.tape

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """See `System.steps`."""
        return self._system.steps(task)

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        return self._origin.describe()

    def close(self) -> None:
        """See `System.close`; the engine is the original's, and stays."""

    def fork(self, mark: int, step: Step, changes: Mapping[str, object]) -> "ChatBranch":
        """See `Branch.fork`."""
        allowed = [one.name for one in self._system.changes(step)]
        if unknown := [name for name in changes if name not in allowed]:
            raise ValueError(
                f"{', '.join(unknown)} cannot be changed at a step of kind {step.kind}; "
                f"{', '.join(allowed) or 'nothing'} can"
            )
        altered = self._origin.altered(self.config, step, changes)
        tape = [*self.tape[:mark], *altered.said]
        return ChatBranch(self._origin, altered.config, tape, altered.training)

    def again(self) -> "ChatBranch":
        """See `Branch.again`."""
        return ChatBranch(self._origin, self.config, self._engine.whole, self._engine.training)
