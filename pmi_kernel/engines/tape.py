"""An engine whose answers are kept, so that an episode can be repeated and go on otherwise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pmi_kernel.engines.base import (
    Adapter,
    Engine,
    Finish,
    Generation,
    Gradients,
    Lessons,
    Sampling,
    Training,
)
from pmi_kernel.engines.proxy import EngineProxy
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.start import Start
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Prompt

Taped = Generation | Training | Gradients
Answer = TypeVar("Answer", Generation, Training, Gradients)


@dataclass(frozen=True, slots=True)
class ChangedTraining:
    """How memories are trained otherwise than they are asked for.

    Attributes:
        lessons: Trained on in place of the next memory's own; None for its own.
        is_injected: Whether memories have any effect.
        lora: Fields of each `LoraConfig` that are others.
    """

    lessons: Lessons | None = None
    is_injected: bool = True
    lora: Mapping[str, Any] = field(default_factory=dict)


class TapedEngine(EngineProxy):
    """An engine that keeps its answers, and may begin by playing those of another.

    Args:
        engine: Answers when the tape is at its end.
        tape: What is played first.
        training: What is trained otherwise once it is at its end.
    """

    def __init__(
        self,
        engine: Engine,
        tape: Sequence[Taped] = (),
        training: ChangedTraining = ChangedTraining(),
    ) -> None:
        super().__init__(engine)
        self.tape: list[Taped] = []
        """Every answer so far."""
        self.training = training
        """What still is to be trained otherwise."""
        self._ahead = list(tape)

    @property
    def whole(self) -> list[Taped]:
        """Every answer so far, and those that are still to be played."""
        return [*self.tape, *self._ahead]

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        """See `Engine.generate`."""
        return self._next(
            Generation, lambda: self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        )

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        """See `Engine.train`."""
        return self._next(Training, lambda: self._train(lessons, lora, adapter))

    def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
        """See `Engine.gradients`."""
        return self._next(Gradients, lambda: self.engine.gradients(texts, start))

    def _train(self, lessons: Lessons, lora: LoraConfig, adapter: Adapter | None) -> Training:
        changed = self.training
        self.training = replace(changed, lessons=None)
        if not changed.is_injected:
            return Training((), LoraWeights({}, {}, lora.rank, lora.alpha), (), 0, 0.0)
        return self.engine.train(
            changed.lessons or lessons, replace(lora, **changed.lora), adapter=adapter
        )

    def _next(self, kind: type[Answer], ask: Callable[[], Answer]) -> Answer:
        if self._ahead:
            answer = self._ahead.pop(0)
            assert isinstance(answer, kind), "the branch left the tape's path"
        else:
            answer = ask()
        self.tape.append(answer)
        return answer


def said(text: str) -> Generation:
    """Return what a person put in the model's place; it cost nothing."""
    return Generation(text, (), (), Finish.STOP, 0, 0.0)
