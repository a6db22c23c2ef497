"""A script for workers in other processes, made slow or made to fail by the environment."""

import os
import signal
import time

from pmi_kernel.engines.base import Adapter, Prompt
from pmi_kernel.engines.scripted import first_title
from pmi_kernel.errors import EngineError
from pmi_kernel.systems.pmi.config import PmiConfig

SLOW, POISON = "PMI_TEST_SLOW_S", "PMI_TEST_POISON"
"""Seconds that each output takes; what happens at prompts with a text: `error:TEXT`."""


SCRIPTED = PmiConfig(engine="scripted", model=f"{__name__}:adjustable", train_mem=True, mem_steps=2)
"""The PMI system on this script."""


def adjustable(prompt: Prompt, adapter: Adapter | None) -> str:
    time.sleep(float(os.environ.get(SLOW, "0")))
    how, _, text = os.environ.get(POISON, "").partition(":")
    if how and text in prompt[-1].content:
        if how == "error":
            raise EngineError("poisoned")
        if how == "memory":
            raise MemoryError("no memory left")
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel's out-of-memory killer does
    return first_title(prompt, adapter)
