"""A script for workers in other processes, made slow or made to fail by the environment."""

import functools
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from pmi_kernel.core.errors import EngineError
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.scripted import first_title
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.systems.pmi.config import PmiConfig

SLOW, POISON, CHILDREN = "PMI_TEST_SLOW_S", "PMI_TEST_POISON", "PMI_TEST_CHILDREN"
"""Seconds that each output takes; what happens at prompts with a text: `error:TEXT`, or
`hold:TEXT`, which never ends; a file for the pids of processes, one for each worker, that are
started and never ended."""

LOADING = "PMI_TEST_LOADING"
"""A file into which the first worker to load writes its pid; it is never ready."""


if LOADING in os.environ and not Path(os.environ[LOADING]).exists():
    Path(os.environ[LOADING]).write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(1000)

SCRIPTED = PmiConfig(engine="scripted", model=f"{__name__}:adjustable", train_mem=True, mem_steps=2)
"""The PMI system on this script."""


_RAISED: dict[str, BaseException] = {
    "memory": MemoryError("no memory left"),
    "interrupt": KeyboardInterrupt(),
    "exit": SystemExit(3),
}


def adjustable(prompt: Prompt, adapter: Adapter | None) -> str:
    if CHILDREN in os.environ:
        _start_child(Path(os.environ[CHILDREN]))
    time.sleep(float(os.environ.get(SLOW, "0")))
    how, _, text = os.environ.get(POISON, "").partition(":")
    if how and text in prompt[-1].content:
        if how == "hold":
            threading.Event().wait()
        if how == "error":
            raise EngineError("poisoned")
        if how == "surrogate":
            raise EngineError("half a \ud83d character\nand a line")
        if how in _RAISED:
            raise _RAISED[how]
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel's out-of-memory killer does
    return first_title(prompt, adapter)


@functools.cache
def _start_child(file: Path) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{child.pid}\n")
