"""How vLLM is made ready in this process, and what its start must leave as it was."""

import logging
import multiprocessing
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch

from pmi_kernel.core.errors import ConfigError


@contextmanager
def starting() -> Iterator[None]:
    """Start an engine within this: it takes nothing from the process that is not given back."""
    _mend_llvmlite()
    with _own_random_state(), _children_allowed():
        yield


def choose_platform(device: str) -> bool:
    """Make vLLM ready for use here; return whether it runs on the CPU."""
    defaults = {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # workers share the machine by OMP_NUM_THREADS
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)  # it may be missing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # vLLM's import is loud
            import vllm.v1.engine.llm_engine  # noqa: F401
            from vllm.platforms import current_platform
    except ImportError as error:
        raise ConfigError(
            "engine vllm needs vLLM, and it is not installed here (or does not load: "
            f"{error}); install the extra `vllm` on a CUDA machine, or run `make install-vllm` for "
            "the CPU build, or use engine hf"
        ) from error
    is_cpu = bool(current_platform.is_cpu())
    if not is_cpu and not torch.cuda.is_available():
        raise ConfigError(
            "the vLLM installed here is the CUDA build, and there is no CUDA device; run "
            "`make install-vllm` for the CPU build, or use engine hf"
        )
    if device not in ("auto", "cpu" if is_cpu else "cuda"):
        raise ConfigError(
            f"device {device!r}: the vLLM installed here runs on {'the CPU' if is_cpu else 'cuda'} "
            "(choose one GPU of several by CUDA_VISIBLE_DEVICES)"
        )
    if is_cpu:
        name = "pmi_kernel.engines.vllm.cpu_lora.GroupedPunica"
        type(current_platform).get_punica_wrapper = classmethod(lambda _: name)
    return is_cpu


def _mend_llvmlite() -> None:
    """Give llvmlite's library a `__dict__` that is one.

    vLLM looks at `vars` of whatever any module holds, and this object takes that for the name of a
    function. It is there once numba is, which bm25s imports.
    """
    if ffi := sys.modules.get("llvmlite.binding.ffi"):
        with suppress(AttributeError):
            ffi.lib._fntab.setdefault("__dict__", {})


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Give back what starting an engine takes: random states, and torch's thread setting."""
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    set_num_threads = torch.set_num_threads
    try:
        yield
    finally:
        torch.set_num_threads = set_num_threads
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])


@contextmanager
def _children_allowed() -> Iterator[None]:
    """Let a daemonic process (a batch worker is one) start vLLM's child."""
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before = config.get("daemon")
    config["daemon"] = False
    try:
        yield
    finally:
        config["daemon"] = before
