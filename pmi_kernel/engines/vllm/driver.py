"""One thread that steps a vLLM engine for callers that each wait for their own request."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vllm.inputs.engine import tokens_input
from vllm.v1.engine.exceptions import EngineDeadError

from pmi_kernel.core import progress
from pmi_kernel.core.errors import EngineError
from pmi_kernel.engines.batcher import gather
from pmi_kernel.engines.compute import compute


class RefusedError(EngineError):
    """vLLM did not take a request; the fault is the request's own."""


Result = TypeVar("Result")

_ENOUGH = 64
"""So many that ask together are not kept waiting for more."""
_LINGER_S = 0.002
"""How long an engine with nothing to do waits for the next of those that ask together."""
_LOOK_S = 0.1
"""So often a caller that waits reports, and hears whether it should stop."""


@dataclass(slots=True, eq=False)
class _Entry:
    token_ids: tuple[int, ...]
    params: Any
    lora: Any
    output: Any = None
    num_tokens: int = 0
    is_given_up: bool = False
    error: EngineError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def report(self) -> None:
        """Say how far it is; a score is one step of the engine, of which there is nothing to say.

        Raises:
            Stopped: A stop was asked for.
        """
        if self.params.prompt_logprobs is None:
            progress.at(progress.Phase.GENERATING, self.num_tokens, self.params.max_tokens)
        else:
            progress.check()


class Driver:
    """Continuous batching for blocking calls of several threads.

    What arrives while the engine works joins its batch at the next step. `LLMEngine` is not made
    for several threads, so only the driver's own thread steps it, and others may touch it only
    within `paused` or `idle`.

    Args:
        build: Returns the engine.
        is_cpu: Whether it computes on the CPU, and so in the thread where all do.
    """

    def __init__(self, build: Callable[[], Any], *, is_cpu: bool) -> None:
        self._is_cpu = is_cpu
        self.engine = self.work(build)
        self._changed = threading.Condition()
        self._touching = threading.RLock()
        self._waiting: list[_Entry] = []
        self._running: dict[str, _Entry] = {}
        self._ids = itertools.count()
        self._num_pauses = 0
        self._num_draining = 0
        self._is_stepping = False
        self._is_closed = False
        self._death: Exception | None = None
        self._thread = threading.Thread(target=self._loop, name="vllm", daemon=True)
        self._thread.start()

    def work(self, function: Callable[..., Result], *args: Any) -> Result:
        """Return what a function that works on the engine returns, run where the engine works."""
        return compute(function, *args) if self._is_cpu else function(*args)

    def ask(self, token_ids: tuple[int, ...], params: Any, lora: Any = None) -> Any:
        """Return the finished `RequestOutput` of one request.

        Raises:
            RefusedError: vLLM did not take the request.
            EngineError: vLLM died.
            Stopped: A stop was asked for; vLLM drops the request before its next step.
        """
        entry = _Entry(token_ids, params, lora)
        with self._changed:
            self._check_alive()
            self._waiting.append(entry)
            self._changed.notify_all()
        try:
            entry.report()
            while not entry.done.wait(_LOOK_S):
                entry.report()
        except BaseException:
            with self._changed:
                entry.is_given_up = True
                self._changed.notify_all()
            raise
        if entry.error is not None:
            raise entry.error
        return entry.output

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within the context the engine takes no step; requests under way go on afterwards."""
        with self._changed:
            self._num_pauses += 1
            while self._is_stepping:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._num_pauses -= 1
                self._changed.notify_all()

    @contextmanager
    def lull(self, is_urgent: Callable[[], bool]) -> Iterator[None]:
        """As `paused`, once no request is under way or `is_urgent` says not to wait for that."""
        with self._changed:
            while self._has_work() and not is_urgent():
                self._changed.wait()
        with self.paused():
            yield

    @contextmanager
    def touching(self) -> Iterator[Any]:
        """The engine, between two of its steps, for this caller alone."""
        with self.paused(), self._touching:
            self._check_alive()
            yield self.engine

    @contextmanager
    def idle(self) -> Iterator[Any]:
        """The engine with no request under way, for this caller alone."""
        with self._changed:
            self._num_draining += 1
            while self._running and self._death is None:
                self._changed.wait()
        try:
            with self.touching() as engine:
                yield engine
        finally:
            with self._changed:
                self._num_draining -= 1
                self._changed.notify_all()

    def replace(self, build: Callable[[], Any]) -> None:
        """Put another engine in the place of this one, within `idle`; the old one is shut first."""
        shut(self.engine)
        self.engine = None
        self.engine = build()

    def close(self, *, is_shared: bool = False) -> None:
        """Shut the engine down; waiting requests fail.

        Args:
            is_shared: Other engines live in this process: this one is only dropped, as its
                shutdown would take vLLM's process-wide state from under them.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()
        self._fail(EngineError("the engine was closed"))
        if self.engine is not None and is_shared:
            self.engine.engine_core._finalizer.detach()
        elif self.engine is not None:
            shut(self.engine)
        self.engine = None

    def _check_alive(self) -> None:
        if self._death is not None or self._is_closed:
            raise EngineError(f"vLLM is gone: {self._death or 'the engine was closed'}")

    def _has_work(self) -> bool:
        return bool(self._running or (self._waiting and not self._num_draining))

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._is_closed and (self._num_pauses or not self._has_work()):
                    self._changed.wait()
                if not self._running:
                    # A step with one prompt costs nearly as much as a full one.
                    gather(self._changed, self._waiting, _LINGER_S, most=_ENOUGH)
                if self._is_closed:
                    return
                if self._num_pauses or not self._has_work():
                    continue  # somebody took the engine meanwhile
                admitted: list[_Entry] = []
                if not self._num_draining:
                    admitted, self._waiting = self._waiting, []
                self._is_stepping = True
            try:
                self.work(self._step, admitted)
            except Exception as error:
                for entry in admitted:
                    if not entry.done.is_set() and entry not in self._running.values():
                        self._waiting.append(entry)
                self._fail(error)
                return
            finally:
                with self._changed:
                    self._is_stepping = False
                    self._changed.notify_all()

    def _step(self, admitted: list[_Entry]) -> None:
        for name, entry in list(self._running.items()):
            if entry.is_given_up:
                self.engine.abort_request([name])
                del self._running[name]
        for entry in admitted:
            if entry.is_given_up:
                continue
            name = str(next(self._ids))
            try:
                prompt = tokens_input(list(entry.token_ids))
                self.engine.add_request(name, prompt, entry.params, lora_request=entry.lora)
            except EngineDeadError:
                raise
            except Exception as error:
                entry.error = RefusedError(f"vLLM: {error}")
                entry.done.set()
            else:
                self._running[name] = entry
        for output in self.engine.step() if self._running else ():
            if output.request_id not in self._running:
                continue
            entry = self._running[output.request_id]
            entry.num_tokens = len(output.outputs[0].token_ids)
            if output.finished:
                del self._running[output.request_id]
                entry.output = output
                entry.done.set()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._death = self._death or error
            entries = [*self._running.values(), *self._waiting]
            self._running, self._waiting = {}, []
            self._changed.notify_all()
        for entry in entries:
            entry.error = EngineError(f"vLLM died: {error}")
            entry.done.set()


def shut(engine: Any) -> None:
    """End an engine and free what it holds."""
    with suppress(Exception):
        engine.engine_core.shutdown()
