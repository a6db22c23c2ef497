"""How far what runs is, and whether it should stop: one channel from library code to who watches.

Library code says where it is, `progress.at(Phase.TRAINING, 7, 20)`, and knows nobody. Who wants to
know enters `watched(Watch(listener))` around the call, and may ask for a stop: the next report then
raises `Stopped`. The watch is a context variable; what runs in a thread of its own is `carried` to
it. Where nobody watches, a report is one look at that variable.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Stopped(BaseException):
    """Raised where a stop is heard; no error, so that what catches errors lets it pass."""


class Phase(StrEnum):
    """What takes time, where several do the same; a system may have a word of its own."""

    LOADING = "loading the model"
    SEARCHING = "searching"
    GENERATING = "generating"
    TRAINING = "training"
    GRADIENTS = "taking gradients"
    SCORING = "scoring"
    MEASURING_BEFORE = "measuring before"
    MEASURING_WRONG = "measuring the wrong passage"
    MEASURING_AFTER = "measuring after"


_UNITS: Mapping[str, str] = {
    Phase.GENERATING: "token",
    Phase.TRAINING: "step",
    Phase.SCORING: "text",
    Phase.MEASURING_BEFORE: "question",
    Phase.MEASURING_WRONG: "question",
    Phase.MEASURING_AFTER: "question",
}
"""What is counted in a phase."""


@dataclass(frozen=True, slots=True)
class Report:
    """How far what runs is.

    Attributes:
        phase: A `Phase`, or a word of the system's own.
        done: How much of it is done.
        total: Of how much, at most; None where that is not known.
        spent_s: Seconds since the phase began.
        loss_nats: Mean training loss of the step, nats per token; None where none is trained.
        detail: What is done within the phase right now, in words; empty where the phase says it.
        said: The text that is being generated, as far as it is there; empty where none is, or
            several are at once.
    """

    phase: str
    done: int = 0
    total: int | None = None
    spent_s: float = 0.0
    loss_nats: float | None = None
    detail: str = ""
    said: str = ""

    @property
    def left_s(self) -> float | None:
        """Seconds that are left if it goes on as it did; None where that cannot be told yet."""
        if self.total is None or not 0 < self.done <= self.total:
            return None
        return self.spent_s / self.done * (self.total - self.done)

    def __str__(self) -> str:
        """Return it in words, e.g. `training step 7 of 20`."""
        said = _said(self.phase, self.done, self.total)
        return f"{said} ({self.detail})" if self.detail else said


def _said(phase: str, done: int, total: int | None) -> str:
    words = [f"{phase}," if " " in phase else str(phase)]
    if total is not None or done:
        words += [_UNITS.get(phase, ""), str(done)]
    if total is not None:
        words.append(f"of {total}")
    return " ".join(word for word in words if word).removesuffix(",")


@dataclass(frozen=True, slots=True)
class Word:
    """A report on its way, whose loss and text are asked for only where heard; see `Report`."""

    phase: str
    done: int
    total: int | None
    loss_nats: Callable[[], float] | None = None
    detail: str = ""
    said: Callable[[], str] | None = None


class Watch:
    """Whoever watches: hears the reports, and may ask for a stop.

    Args:
        on_report: Told of each report, one at a time, in whatever thread makes it; of none after a
            stop was asked for.
        every_s: Of the reports of one phase it is told one in so many seconds; 0: all of them.
        above: Hears the reports too, and its stop is this one's.
    """

    def __init__(
        self,
        on_report: Callable[[Report], object] | None = None,
        *,
        every_s: float = 0.0,
        above: "Watch | None" = None,
    ) -> None:
        self._on_report, self._every_s, self._above = on_report, every_s, above
        self._is_asked = threading.Event()
        self._lock = threading.RLock()
        self._last: tuple[str, int] | None = None
        self._began_s = self._told_s = 0.0

    def stop(self) -> None:
        """Ask what runs under this watch to stop at its next report."""
        self._is_asked.set()

    @property
    def is_stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._is_asked.is_set() or (self._above is not None and self._above.is_stopping)

    @property
    def is_heard(self) -> bool:
        """Whether anybody hears the reports."""
        return self._on_report is not None or (self._above is not None and self._above.is_heard)

    def tell(self, word: Word) -> None:
        """Pass a report on."""
        if self._on_report is not None:
            with self._lock:
                if not self.is_stopping:  # of several threads, one may have asked for it meanwhile
                    self._hear(word, self._on_report)
        if self._above is not None:
            self._above.tell(word)

    def _hear(self, word: Word, on_report: Callable[[Report], object]) -> None:
        now, last = time.monotonic(), self._last
        is_new = last is None or last[0] != word.phase or word.done < last[1]
        self._last = word.phase, word.done
        if is_new:
            self._began_s = now
        elif now - self._told_s < self._every_s:
            return
        self._told_s = now
        loss_nats = None if word.loss_nats is None else word.loss_nats()
        said = "" if word.said is None else word.said()
        spent_s = now - self._began_s
        on_report(Report(word.phase, word.done, word.total, spent_s, loss_nats, word.detail, said))


class Within(Watch):
    """A phase that has others within it: it hears their reports as details of its own.

    Args:
        above: Hears them.
        phase: What it is.
        total: How much of it there is to do.
    """

    def __init__(self, above: Watch, phase: str, total: int | None) -> None:
        super().__init__(above=above)
        self._outer, self._phase, self._done, self._total = above, phase, 0, total

    def advance(self, num: int = 1) -> None:
        """Report so much more of the phase as done.

        Raises:
            Stopped: A stop was asked for.
        """
        self._done += num
        self._outer.tell(Word(self._phase, self._done, self._total))
        check()

    def tell(self, word: Word) -> None:
        """Pass a report on as what is done within this phase."""
        detail = word.detail or _said(word.phase, word.done, word.total)
        self._outer.tell(
            Word(self._phase, self._done, self._total, word.loss_nats, detail, word.said)
        )


class _Batch(Watch):
    """All who have something in a batch: each hears its reports; it stops when all want it to."""

    def __init__(self, members: Iterable[Watch | None]) -> None:
        super().__init__()
        self._members = list(dict.fromkeys(members))

    @property
    def is_stopping(self) -> bool:
        """Whether all of them want it to stop, or the batch itself was to be stopped."""
        return self._is_asked.is_set() or all(one and one.is_stopping for one in self._members)

    @property
    def is_heard(self) -> bool:
        """See `Watch.is_heard`."""
        return any(one and one.is_heard for one in self._members)

    def tell(self, word: Word) -> None:
        """See `Watch.tell`."""
        for one in self._members:
            if one is not None:
                one.tell(word)


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


# -- what library code says ---------------------------------------------------------------------


def at(
    phase: str,
    done: int = 0,
    total: int | None = None,
    *,
    loss_nats: Callable[[], float] | None = None,
    said: Callable[[], str] | None = None,
) -> None:
    """Report how far a phase is.

    Args:
        phase: What is done.
        done: How much of it.
        total: Of how much, at most; None where that is not known.
        loss_nats: Returns the training loss; asked only where somebody hears it.
        said: Returns the text that is being generated; the same.

    Raises:
        Stopped: A stop was asked for.
    """
    watch = _watch.get()
    if watch is None:
        return
    if watch.is_heard:
        watch.tell(Word(phase, done, total, loss_nats, said=said))
    if watch.is_stopping:
        raise Stopped


def is_heard() -> bool:
    """Return whether anybody hears what is reported here."""
    watch = _watch.get()
    return watch is not None and watch.is_heard


def check() -> None:
    """Raise `Stopped` where a stop was asked for."""
    watch = _watch.get()
    if watch is not None and watch.is_stopping:
        raise Stopped


@contextmanager
def within(phase: str, total: int | None = None) -> Iterator[Within]:
    """Within the context what is reported is a part of a phase, whose own count `advance` moves.

    Raises:
        Stopped: A stop was asked for.
    """
    part = Within(_watch.get() or Watch(), phase, total)
    with watched(part):
        part.advance(0)
        yield part


# -- who hears it -------------------------------------------------------------------------------


@contextmanager
def watched(watch: Watch | None) -> Iterator[Watch | None]:
    """Within the context `watch` hears what is reported; None: nobody does, and nothing stops it.

    What must be done whole, such as taking a memory out, is done under None.
    """
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(token)


@contextmanager
def stoppable() -> Iterator[Watch]:
    """Within the context what is reported is heard as before, and can be stopped by itself."""
    watch = Watch(above=_watch.get())
    with watched(watch):
        yield watch


def current() -> Watch | None:
    """Return who hears what is reported here."""
    return _watch.get()


def together(watches: Iterable[Watch | None]) -> Watch:
    """Return the watch of a batch that all of these have something in.

    Each hears its reports; it is stopped when all of them want that, so one of None never is.
    """
    return _Batch(watches)


def carried(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Return a function for another thread, which there is heard by whoever hears this one."""
    return partial(copy_context().run, function)
