"""Taking passages' gradients ahead, of questions or of a whole index, into a store.

It can be killed at any time, and the same call goes on: what is there is not taken again.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.task import Task, titled
from pmi_kernel.lora.start import Gradient
from pmi_kernel.retrieval.index.store import Index
from pmi_kernel.systems.regrad.prompts import passage_text
from pmi_kernel.systems.regrad.store import GradientStore, StoredGradients, stored_bytes
from pmi_kernel.systems.regrad.system import RegradSystem

_LOOKED_THROUGH = 64
"""Batches whose passages are put in order of length together, so that a batch pads little."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoding came to.

    Attributes:
        num_passages: Passages that were looked at.
        num_found: Of these, those that were in the store already, whole.
        num_taken: Those that were taken now.
        num_failed: Those without a gradient: too few tokens, or it was not finite.
        num_cut: Those taken now that were longer than what the start learns at most.
        num_bytes: What the whole store takes.
        seconds_s: Spent on taking gradients and on writing them.
    """

    num_passages: int
    num_found: int
    num_taken: int
    num_failed: int
    num_cut: int
    num_bytes: int
    seconds_s: float


class Estimate(NamedTuple):
    """What an encoding will come to."""

    num_bytes: int
    """What all gradients take, those that are there too."""
    seconds_s: float
    """What taking the missing ones takes, at the pace of a first batch."""


def question_texts(
    system: RegradSystem, tasks: Iterable[Task], *, is_all: bool = False
) -> Iterator[str]:
    """Yield each passage of questions once, as it is learned.

    Args:
        system: Its search says which passages a question needs.
        tasks: The questions.
        is_all: Every paragraph of the questions, whole, and not what is found alone.
    """
    seen: set[bytes] = set()
    for task in tasks:
        for text in map(passage_text, task.context) if is_all else system.texts(task):
            key = hashlib.sha256(text.encode()).digest()
            if key not in seen:
                seen.add(key)
                yield text


def index_texts(index: Index) -> Iterator[str]:
    """Yield every passage of an index, as it is learned where a search finds it."""
    for _, passage in index.backend.passages():
        yield titled(passage.title, passage.text)


def estimate(system: RegradSystem, texts: Sequence[str], num: int) -> Estimate:
    """Return what an encoding will come to, by taking some of its gradients, which are kept.

    Args:
        system: With a store.
        texts: A batch of the passages.
        num: How many there are in all.

    Raises:
        ConfigError: The system has no store, or not all that is missing will fit on the disk.
    """
    store, each = _store(system), stored_bytes(system.start, _store(system).format)
    free, num_missing = shutil.disk_usage(store.folder).free, max(0, num - len(store))
    if num_missing * each > free:
        raise ConfigError(
            f"{store.folder}: {num:,} gradients take {num * each / 1e9:,.1f} GB as "
            f"{store.format}, {each / 1e6:.2f} MB each; {free / 1e9:,.1f} GB are free"
        )
    missing = [text for text in texts if text not in store]
    _taken(system, missing[:1], _heard_later)  # the first one of a process is slower
    began = time.perf_counter()
    _taken(system, missing[1:], _heard_later)
    seconds_s = time.perf_counter() - began
    return Estimate(num * each, num_missing * seconds_s / max(1, len(missing) - 1))


def _heard_later(problem: str) -> None:
    """A passage without a gradient is told of when all are taken."""


def encode(
    system: RegradSystem,
    texts: Iterable[str],
    *,
    batch: int = 16,
    on_passages: Callable[[int], object] = lambda count: None,
    say: Callable[[str], object] = lambda text: None,
) -> Encoded:
    """Take the gradient of each passage once, and keep it.

    Args:
        system: With a store.
        texts: The passages.
        batch: Passages in one forward and backward pass.
        on_passages: Told how many passages were dealt with, a batch at a time.
        say: Told of each passage that has no gradient.

    Raises:
        ConfigError: The system has no store, or it cannot be written.
    """
    store, seconds_s = _store(system), 0.0
    store.forget_torn()
    num_passages = num_found = num_taken = num_failed = num_cut = 0
    waiting = iter(texts)
    while some := list(islice(waiting, batch * _LOOKED_THROUGH)):
        missing = sorted({text for text in some if text not in store}, key=lambda t: (len(t), t))
        num_passages += len(some)
        num_found += len(some) - len(missing)
        on_passages(len(some) - len(missing))
        for first in range(0, len(missing), batch):
            part = missing[first : first + batch]
            began = time.perf_counter()
            taken = _taken(system, part, say)
            seconds_s += time.perf_counter() - began
            num_taken += len(taken)
            num_failed += len(part) - len(taken)
            num_cut += sum(one.cut_tokens > 0 for one in taken)
            on_passages(len(part))
    return Encoded(
        num_passages,
        num_found,
        num_taken,
        num_failed,
        num_cut,
        store.num_bytes,
        seconds_s,
    )


def _store(system: RegradSystem) -> GradientStore:
    if not isinstance(system.engine, StoredGradients):
        raise ConfigError("encoding needs a store: float32, bfloat16 or int8")
    return system.engine.store


def _taken(
    system: RegradSystem, texts: Sequence[str], say: Callable[[str], object]
) -> tuple[Gradient, ...]:
    """The gradients of texts; where one has none, those of the others."""
    if not texts:
        return ()
    try:
        return system.engine.gradients(texts, system.start).of
    except EngineError as error:
        if len(texts) == 1:
            say(str(error))
            return ()
    return tuple(one for text in texts for one in _taken(system, [text], say))
