"""Which device and number format to run in; bfloat16 only where it was seen to be faster."""

import json
import math
import platform
import signal
import subprocess
import sys
from pathlib import Path

import torch

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.places import cache_dir
from pmi_kernel.engines.models import write_whole

_PROBE = """
import json, time, torch
torch.manual_seed(0)
layer, x = torch.nn.Linear(1024, 4096), torch.randn(512, 1024)
def seconds(layer, x):
    best = float("inf")
    with torch.inference_mode():
        for _ in range(6):
            start = time.perf_counter()
            layer(x)
            best = min(best, time.perf_counter() - start)
    return best
slow = seconds(layer, x)
print(json.dumps({"speedup": slow / seconds(layer.bfloat16(), x.bfloat16())}))
"""
_CRASHES = (signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT)
_WORTH_IT = 1.2
"""Speed-up from which bfloat16 pays for its rounding."""


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is CUDA where there is one, else the CPU.

    Raises:
        ConfigError: There is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r}: {error}") from None
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(
            f"device {name!r} was asked for, but this machine has {count} CUDA devices"
        )
    return device


def choose_dtype(name: str, device: torch.device) -> tuple[torch.dtype, str]:
    """Return float32 or bfloat16, and why.

    `auto` is bfloat16 on CUDA that has it and on CPUs that it speeds up.

    Raises:
        ConfigError: Another name, or bfloat16 on a CPU that cannot compute in it.
    """
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name not in (*named, "auto"):
        raise ConfigError(f"dtype {name!r}: choose one of auto, {', '.join(named)}")
    if name == "float32":
        return torch.float32, "asked for"
    if device.type == "cuda":
        if name == "bfloat16":
            return torch.bfloat16, "asked for"
        has_it = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_it else torch.float32, (
            f"this GPU has {'bfloat16' if has_it else 'no bfloat16'}"
        )
    speedup = cpu_bfloat16_speedup()
    if name == "bfloat16":
        if speedup == 0:
            raise ConfigError(
                "dtype 'bfloat16': on this CPU a process that computes in it dies; use float32"
            )
        return torch.bfloat16, "asked for"
    if not speedup:
        said = "bfloat16 kills a process" if speedup == 0 else "bfloat16 could not be measured"
        return torch.float32, f"{said} on this CPU"
    dtype = torch.bfloat16 if speedup > _WORTH_IT else torch.float32
    return dtype, f"bfloat16 is {speedup:.2g} times as fast as float32 on this CPU"


def cpu_bfloat16_speedup() -> float | None:
    """Return how many times faster a bfloat16 layer is than a float32 one on this CPU; 0: crashes.

    Measured once per machine and torch version, in a child process (a virtual machine may announce
    instructions that then trap), and kept in the cache. None where the child could not measure.
    """
    record = cache_dir() / "cpu_bfloat16.json"
    key = f"{platform.node()} torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"
    known = _read(record)
    if key not in known:
        child = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True)
        if child.returncode == 0:
            known[key] = json.loads(child.stdout)["speedup"]
        elif -child.returncode in _CRASHES:
            known[key] = 0.0
        else:
            return None
        write_whole(record, json.dumps(known))
    return known[key]


def _read(record: Path) -> dict[str, float]:
    """What was measured before, as far as the file can be read: the rest is measured again."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        key: value
        for key, value in found.items()
        if isinstance(value, float) and math.isfinite(value) and value >= 0
    }
