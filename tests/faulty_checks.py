"""Checks that go wrong, each in a way of its own; the GPU check's children import them by name."""

import os
import signal
import threading

from pmi_kernel.studies.gpu_check.table import Measures, Setting, SkippedError


def good(setting: Setting) -> Measures:
    return {"apart_nats": 0.5}


def not_finite(setting: Setting) -> Measures:
    return {"apart_nats": float("nan")}


def raises(setting: Setting) -> Measures:
    raise RuntimeError("CUDA out of memory\nand more lines")


def refuses(setting: Setting) -> Measures:
    raise SkippedError("this machine is too small")


def traps(setting: Setting) -> Measures:
    os.kill(os.getpid(), signal.SIGILL)
    return {}


def hangs(setting: Setting) -> Measures:
    if child := os.fork():
        os.write(1, f"pid {os.getpid()}\npid {child}\n".encode())
    else:
        os.setpgid(0, 0)
    threading.Event().wait()
    return {}
