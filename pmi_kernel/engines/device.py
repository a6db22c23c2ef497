"""Which device and number format to run in; bfloat16 only where it was seen to be faster."""

import json
import platform
import subprocess
import sys

import torch

from pmi_kernel.engines.models import cache_dir
from pmi_kernel.errors import ConfigError

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


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return float32 or bfloat16; `auto` is bfloat16 on CUDA that has it and on CPUs it speeds up.

    Raises:
        ConfigError: Another name.
    """
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name in named:
        return named[name]
    if name != "auto":
        raise ConfigError(f"dtype {name!r}: choose one of auto, {', '.join(named)}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if cpu_bfloat16_speedup() > 1.2 else torch.float32


def cpu_bfloat16_speedup() -> float:
    """Return how many times faster a bfloat16 layer is than a float32 one on this CPU; 0: crashes.

    Measured once per machine and torch version, in a child process (a virtual machine may announce
    instructions that then trap), and kept in the cache.
    """
    record = cache_dir() / "cpu_bfloat16.json"
    key = f"{platform.node()} torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"
    known: dict[str, float] = (
        json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    )
    if key not in known:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, encoding="utf-8"
        )
        known[key] = json.loads(child.stdout)["speedup"] if child.returncode == 0 else 0.0
        record.parent.mkdir(parents=True, exist_ok=True)
        partial = record.with_suffix(f".{platform.node()}.tmp")
        partial.write_text(json.dumps(known), encoding="utf-8")
        partial.replace(record)
    return known[key]
