"""The one thread of a process in which torch computes.

OpenMP keeps a team of threads for every thread that ever computed in parallel. Once the teams
together have more threads than there are cores, none of them waits by spinning any more (libgomp
calls that throttled), and each of the thousands of parallel regions of a forward pass wakes its
team anew: training from a second thread took 1.4 to 2.9 times as long as from the only one.
"""

import ctypes
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

from pmi_kernel.core import progress

Params = ParamSpec("Params")
Result = TypeVar("Result")

_here = threading.local()
_thread = ThreadPoolExecutor(1, "torch", lambda: setattr(_here, "is_computing", True))
_PAUSE_HARD = 2
_LOOK_S = 0.2


def compute(function: Callable[Params, Result], *args: Params.args, **kw: Params.kwargs) -> Result:
    """Return what a function returns, or raise what it raises, run in the computing thread.

    Callers wait; what is called from that thread itself runs at once. An interrupt of the caller
    stops the function at its next report.
    """
    if getattr(_here, "is_computing", False):
        return function(*args, **kw)
    _give_team_back()
    with progress.stoppable() as watch:
        running = _thread.submit(progress.carried(function), *args, **kw)
        try:
            while not running.done():  # or a signal on the way into a wait would be seen at its end
                with suppress(TimeoutError):
                    running.exception(_LOOK_S)
            return running.result()
        except KeyboardInterrupt:
            watch.stop()
            raise


def _give_team_back() -> None:
    """End the OpenMP team of the calling thread, where it has one; its next use makes another."""
    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)  # OpenMP 5.0
    if pause is not None:
        pause(_PAUSE_HARD)


def computing(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Make a function always run in the computing thread."""

    @functools.wraps(function)
    def run(*args: Params.args, **kw: Params.kwargs) -> Result:
        return compute(function, *args, **kw)

    return run


def seed_everything(seed: int) -> None:
    """Seed random, numpy and torch."""
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
