"""A micro-batcher: blocking requests of several threads, served together where they fit.

There is no thread of its own. A caller that finds nobody at work leads: it takes the oldest
waiting request and all that share its key, runs them as one batch, and hands out the results.
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pmi_kernel.core import progress

Request = TypeVar("Request")


@dataclass(slots=True, eq=False)
class _Entry(Generic[Request]):
    key: Hashable
    request: Request
    watch: progress.Watch | None = field(default_factory=progress.current)
    result: object = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


def gather(
    changed: threading.Condition, waiting: Sequence[object], linger_s: float, *, most: int
) -> None:
    """Wait until nobody comes any more: who asks together should be served together.

    Args:
        changed: Held by the caller; notified whenever somebody comes.
        waiting: Those who came; it grows while this waits.
        linger_s: How long to wait for the next.
        most: As many are enough.
    """
    num_seen = 0
    while num_seen < len(waiting) < most:
        num_seen = len(waiting)
        changed.wait(linger_s)


class MicroBatcher(Generic[Request]):
    """Runs requests in batches of equal key, one batch at a time.

    Args:
        run: Takes the key and the requests of one batch and returns a result for each; a result
            that is an exception is raised to that caller alone. When `run` itself raises on more
            than one request, each is run again by itself, so that only the one at fault fails.
        max_batch: Most requests in a batch.
        linger_s: How long a leader waits for the next to come, after a batch that had company; a
            fifth of it after one that had none. Nobody waits for more than a full batch.
        gate: Entered before a batch is put together and left after it ran.

    What a batch reports is heard by all who have a request in it, and it is stopped when all of
    them want that; one of them alone stops when the batch is through.
    """

    def __init__(
        self,
        run: Callable[[Hashable, Sequence[Request]], Sequence[object]],
        *,
        max_batch: int,
        linger_s: float = 0.01,
        gate: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._linger_s = linger_s
        self._gate = gate
        self._waiting: list[_Entry[Request]] = []
        self._changed = threading.Condition()
        self._is_busy = False
        self._last_size = 1

    @property
    def num_waiting(self) -> int:
        """Requests that no batch has taken yet."""
        return len(self._waiting)

    def submit(self, key: Hashable, request: Request) -> object:
        """Return the result for `request`, run together with waiting requests of the same key."""
        entry = _Entry(key, request)
        with self._changed:
            self._waiting.append(entry)
            self._changed.notify_all()
        while not entry.done.is_set():
            with self._changed:
                while self._is_busy and not entry.done.is_set():
                    self._changed.wait()
                if entry.done.is_set():
                    break
                self._is_busy = True
            try:
                self._serve()
            finally:
                with self._changed:
                    self._is_busy = False
                    self._changed.notify_all()
        if entry.error is not None:
            raise entry.error
        progress.check()
        return entry.result

    @contextmanager
    def exclusively(self, is_urgent: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Within the context no batch runs.

        Args:
            is_urgent: While this is false, waiting requests go first.
        """
        with self._changed:
            while self._is_busy or (self._waiting and not is_urgent()):
                self._changed.wait()
            self._is_busy = True
        try:
            yield
        finally:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def _serve(self) -> None:
        with self._gate():
            with self._changed:
                linger_s = self._linger_s if self._last_size > 1 else self._linger_s / 5
                gather(self._changed, self._waiting, linger_s, most=self._max_batch)
                key = self._waiting[0].key
                batch = [entry for entry in self._waiting if entry.key == key][: self._max_batch]
                self._waiting = [entry for entry in self._waiting if entry not in batch]
            self._last_size = len(batch)
            self._fill(batch)

    def _fill(self, batch: Sequence[_Entry[Request]]) -> None:
        try:
            with progress.watched(progress.together(entry.watch for entry in batch)):
                progress.check()
                results = self._run(batch[0].key, [entry.request for entry in batch])
        except progress.Stopped as stopped:
            results = [stopped] * len(batch)
        except Exception as error:
            if len(batch) > 1:
                for entry in batch:
                    self._fill([entry])
                return
            results = [error]
        except BaseException as error:
            for entry in batch:
                entry.error = error
                entry.done.set()
            raise
        for entry, result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                entry.error = result
            else:
                entry.result = result
            entry.done.set()
