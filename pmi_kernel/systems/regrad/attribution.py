"""Which passage answered: each one's gradient in alone, and each left out of the sum."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from pmi_kernel.engines.base import Engine
from pmi_kernel.engines.injected import injected
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.systems.chat import at_once

_TOGETHER = 8
"""Memories in force at once; each takes a slot of the engine."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Log-probabilities of an answer, in nats, under parts of a memory.

    Attributes:
        whole: Under all passages.
        none: Under the start itself.
        alone: Under each passage alone.
        left_out: Under all but each.
        seconds_s: What it took.
    """

    whole: float
    none: float
    alone: tuple[float, ...]
    left_out: tuple[float, ...]
    seconds_s: float

    @property
    def credits(self) -> tuple[float, ...]:
        """What each passage adds to the answer, in nats.

        That is the mean of what it adds to the start alone and of what it adds to all the others;
        of two passages these are the Shapley values.
        """
        return tuple(
            (alone - self.none + self.whole - left_out) / 2
            for alone, left_out in zip(self.alone, self.left_out, strict=True)
        )


def attribute(
    engine: Engine,
    prompt: Prompt,
    answer: str,
    *,
    parts: Sequence[LoraWeights],
    num_passages: int,
) -> Attribution:
    """Return how an answer is scored under parts of a memory.

    Args:
        engine: Scores.
        prompt: What was asked.
        answer: As it follows the prompt.
        parts: The whole memory, the start, each passage alone, all but each; in this order.
        num_passages: How many passages there are.

    Raises:
        EngineError: It could not be scored; nothing stays in force.
    """
    began = time.perf_counter()
    nats: list[float] = []
    for first in range(0, len(parts), _TOGETHER):
        with ExitStack() as stack:
            adapters = [
                stack.enter_context(injected(engine, weights)).adapter
                for weights in parts[first : first + _TOGETHER]
            ]
            scores = at_once(
                [partial(engine.score, prompt, answer, adapter=adapter) for adapter in adapters]
            )
            nats += [sum(score.logprobs_nats) for score in scores]
    return Attribution(
        nats[0],
        nats[1],
        tuple(nats[2 : 2 + num_passages]),
        tuple(nats[2 + num_passages :]),
        time.perf_counter() - began,
    )
