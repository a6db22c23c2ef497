"""What a system is, and what it may be able to do besides; none of it names an engine.

A system is a generator of steps. What a reader may do with its episodes beyond stepping them, ask
it, mislead it, change a step, is a protocol of its own, and a system has those that make sense for
it: probes, what-ifs and views ask `isinstance` and know no system.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pmi_kernel.core.answers import FREE, AnswerForm
from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.task import Example, Task
from pmi_kernel.core.trace import Step

if TYPE_CHECKING:
    import numpy as np


class System(Protocol):
    """A way to give a language model knowledge, as a generator of steps; threads may share it."""

    @property
    def config(self) -> SystemConfig:
        """Its settings."""
        ...

    @property
    def loaded(self) -> object:
        """What it has loaded (an engine, a model), for another system whose settings load the same.

        None where it loads nothing.
        """
        ...

    @property
    def max_concurrency(self) -> int | None:
        """Most episodes at once; None for any number."""
        ...

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the steps of one episode; the last one carries the answer and the end reason.

        State lives in local variables. What was injected is undone in a `finally`, so closing the
        generator early restores the system as well.
        """
        ...

    def describe(self) -> Mapping[str, str]:
        """Return what a run's record needs: what is loaded, with its hashes, and how it computes.

        `batch_invariant` says whether results depend on which episodes run at once: yes (the
        default), no, or to what.
        """
        ...

    def close(self) -> None:
        """Free what is loaded; the system answers no more."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked outside an episode.

    Attributes:
        text: The question.
        gold: The answer to be scored after it, as it is given; empty for none: it is then asked
            briefly.
        evidence: What is shown before it; None for the question alone.
        form: What may be answered.
    """

    text: str
    gold: str = ""
    evidence: str | None = None
    form: AnswerForm = FREE

    @classmethod
    def of(cls, example: Example, evidence: str | None = None) -> "Question":
        """Return an example's question, with its first gold answer."""
        task = example.task
        gold = task.form.given(example.gold.answers[0])
        return cls(task.question, gold, evidence, task.form)


@dataclass(frozen=True, slots=True)
class Reply:
    """What was said to a question, and the score of its gold answer where there was one."""

    answer: str
    gold: GoldScore | None = None


@runtime_checkable
class Asks(Protocol):
    """A system that can be asked in any state of its memory: for probes and report cards.

    A `state` is what a step carries; None is the state before anything was learned. All of a call
    is asked at once, so that it can be batched; what shares a batch moves scores by rounding.
    """

    def ask(self, questions: Sequence[Question], state: object = None) -> list[Reply]:
        """Return the reply to each question.

        Raises:
            EngineError: It could not be answered.
        """
        ...

    def reword(self, question: str) -> tuple[str, ...]:
        """Return the question in the system's own other words; at most three, maybe none."""
        ...

    def read(self, question: str, reply: str, state: object = None) -> tuple[float, ...]:
        """Return log-probabilities (nats) of a fixed reply, the same bits for the same state."""
        ...

    def next_tokens(
        self, texts: Sequence[tuple[str, str]], state: object = None
    ) -> "list[np.ndarray] | None":
        """Return log-probabilities (nats) over the vocabulary at each token of fixed replies.

        None where the system has no such thing.
        """
        ...


@runtime_checkable
class Misleads(Protocol):
    """A system that is its own control: the same procedure with another task's passages."""

    def misled_by(self, task: Task) -> System:
        """Return the system that learns `task`'s passages wherever it would learn its own.

        Raises:
            EngineError: There is nothing to learn of them.
        """
        ...

    def mislearned(self, task: Task, state: object = None) -> AbstractContextManager[object]:
        """Return a context that gives the state in which `task`'s passages were learned on `state`.

        It gives None where there is nothing to learn, or where `state` leaves no room for it.
        """
        ...


class FieldKind(StrEnum):
    """How a reader fills a field: a line, a longer text, a number, yes or no, or another task."""

    LINE = "line"
    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a reader may alter at a step.

    Attributes:
        name: What it is called in `Branch.fork`.
        kind: How it is filled.
        label: What a form says beside it.
        value: What it is now; of a flag, False.
        said: What a branch is called by it, with `{}` where the value goes.
    """

    name: str
    kind: FieldKind
    label: str
    value: object
    said: str


@runtime_checkable
class Branch(System, Protocol):
    """A system for one episode that keeps what it was answered, so that it can be repeated."""

    @property
    def tape(self) -> Sequence[object]:
        """What its engine answered so far; nothing where its steps need no memory of that."""
        ...

    def fork(self, mark: int, step: Step, changes: Mapping[str, object]) -> "Branch":
        """Return a branch that repeats the first `mark` answers and goes on with `changes`.

        Args:
            mark: Length of the tape before the step.
            step: The step at which it differs, as it was.
            changes: Values by the name of a field of `Changes.changes(step)`.

        Raises:
            ValueError: A value is not one that the field can have.
        """
        ...

    def again(self) -> "Branch":
        """Return a branch that repeats all of the tape, and goes on under the same changes."""
        ...


@runtime_checkable
class Changes(Protocol):
    """A system whose steps can be altered: for what-ifs and forms."""

    def changes(self, step: Step) -> tuple[Field, ...]:
        """Return what may be altered at a step."""
        ...

    def branch(self) -> Branch:
        """Return a system for one episode, which can be forked at any of its steps."""
        ...
