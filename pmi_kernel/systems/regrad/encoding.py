"""Taking the gradients of a data set's passages ahead, into the store that episodes look in.

It can be killed at any time, and the same call goes on: what is there is not taken again.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.task import Task
from pmi_kernel.lora.start import Gradient
from pmi_kernel.systems.regrad.prompts import passage_text
from pmi_kernel.systems.regrad.store import StoredGradients
from pmi_kernel.systems.regrad.system import RegradSystem

_LOOKED_THROUGH = 64
"""Batches whose passages are put in order of length together, so that a batch pads little."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoding came to.

    Attributes:
        num_questions: Questions whose passages were looked at.
        num_passages: Different passages of theirs.
        num_found: Of these, those that were in the store already.
        num_taken: Those that were taken now.
        num_failed: Those without a gradient: too few tokens, or it was not finite.
        num_cut: Those taken now that were longer than what the start learns at most.
        num_bytes: What the whole store takes.
        seconds_s: Spent on taking gradients and on writing them.
    """

    num_questions: int
    num_passages: int
    num_found: int
    num_taken: int
    num_failed: int
    num_cut: int
    num_bytes: int
    seconds_s: float


def encode(
    system: RegradSystem,
    tasks: Iterable[Task],
    *,
    batch: int = 16,
    is_all: bool = False,
    on_passages: Callable[[int], object] = lambda count: None,
    say: Callable[[str], object] = lambda text: None,
) -> Encoded:
    """Take the gradient of each passage once, and keep it.

    Args:
        system: With a store; its search says which passages a question needs.
        tasks: The questions.
        batch: Passages in one forward and backward pass.
        is_all: Take every paragraph of the questions, whole, and not what is found alone.
        on_passages: Told how many passages were dealt with, a batch at a time.
        say: Told of each passage that has no gradient.

    Raises:
        ConfigError: The system has no store, or it cannot be written.
    """
    engine = system.engine
    if not isinstance(engine, StoredGradients):
        raise ConfigError("encoding needs a store: float32, bfloat16 or int8")
    store, num_questions, seconds_s = engine.store, 0, 0.0
    num_passages = num_found = num_taken = num_failed = num_cut = 0

    def texts() -> Iterator[str]:
        nonlocal num_questions
        seen: set[bytes] = set()
        for task in tasks:
            num_questions += 1
            for text in map(passage_text, task.context) if is_all else system.texts(task):
                key = hashlib.sha256(text.encode()).digest()
                if key not in seen:
                    seen.add(key)
                    yield text

    waiting = texts()
    while some := list(islice(waiting, batch * _LOOKED_THROUGH)):
        missing = sorted((text for text in some if text not in store), key=len)
        num_passages += len(some)
        num_found += len(some) - len(missing)
        on_passages(len(some) - len(missing))
        for first in range(0, len(missing), batch):
            part = missing[first : first + batch]
            began = time.perf_counter()
            taken = _taken(engine, part, system, say)
            seconds_s += time.perf_counter() - began
            num_taken += len(taken)
            num_failed += len(part) - len(taken)
            num_cut += sum(one.cut_tokens > 0 for one in taken)
            on_passages(len(part))
    return Encoded(
        num_questions,
        num_passages,
        num_found,
        num_taken,
        num_failed,
        num_cut,
        store.num_bytes,
        seconds_s,
    )


def _taken(
    engine: StoredGradients,
    texts: Sequence[str],
    system: RegradSystem,
    say: Callable[[str], object],
) -> tuple[Gradient, ...]:
    """The gradients of texts; where one has none, those of the others."""
    try:
        return engine.gradients(texts, system.start).of
    except EngineError as error:
        if len(texts) == 1:
            say(str(error))
            return ()
    return tuple(one for text in texts for one in _taken(engine, [text], system, say))
