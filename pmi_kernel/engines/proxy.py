"""Engines that stand before another one and change what it is asked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pmi_kernel.engines.base import (
    Adapter,
    Engine,
    Generation,
    Gradients,
    Lessons,
    Sampling,
    Score,
    Training,
)
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.start import Start
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Prompt

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32


class EngineProxy:
    """Passes every call on; a subclass changes some of them.

    Args:
        engine: The engine that answers.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_exclusive = engine.is_exclusive

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        """See `Engine.generate`."""
        return self.engine.generate(prompt, adapter=adapter, sampling=sampling)

    def score(self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None) -> Score:
        """See `Engine.score`."""
        return self.engine.score(prompt, continuation, adapter=adapter)

    def distributions(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None
    ) -> "Float32[np.ndarray, 'tokens vocabulary']":
        """See `Engine.distributions`."""
        return self.engine.distributions(prompt, continuation, adapter=adapter)

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        """See `Engine.train`."""
        return self.engine.train(lessons, lora, adapter=adapter)

    def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
        """See `Engine.gradients`."""
        return self.engine.gradients(texts, start)

    def attach(self, weights: LoraWeights, *, replaces: Adapter | None = None) -> Adapter:
        """See `Engine.attach`."""
        return self.engine.attach(weights, replaces=replaces)

    def detach(self, adapter: Adapter) -> None:
        """See `Engine.detach`."""
        self.engine.detach(adapter)

    def check_lora(self, lora: LoraConfig, *, num_stacked: int = 1) -> None:
        """See `Engine.check_lora`."""
        self.engine.check_lora(lora, num_stacked=num_stacked)

    def describe(self) -> Mapping[str, str]:
        """See `Engine.describe`."""
        return self.engine.describe()

    def close(self) -> None:
        """See `Engine.close`."""
        self.engine.close()


class TrainsOn(EngineProxy):
    """Trains every memory on the same lessons: the wrong-passage control of a whole episode.

    Args:
        engine: The engine that answers.
        lessons: What is trained on, whatever is asked for.
    """

    def __init__(self, engine: Engine, lessons: Lessons) -> None:
        super().__init__(engine)
        self._lessons = lessons

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        """See `Engine.train`."""
        return self.engine.train(self._lessons, lora, adapter=adapter)
