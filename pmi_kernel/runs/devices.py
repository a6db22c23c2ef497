"""Which devices a run's workers get, without importing torch."""

import os
import shutil
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one worker.

    Attributes:
        name: Goes into its files' names: `gpu0`, `cpu0`, ...
        environment: What its process is started with.
    """

    name: str
    environment: dict[str, str]


def cuda_devices() -> list[str]:
    """Return the devices of CUDA_VISIBLE_DEVICES, or all of the machine; none without a GPU."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    found = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, encoding="utf-8")
    # It also lists the parts of a GPU, and without a driver prints why there is none.
    gpus = [line for line in found.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number, _ in enumerate(gpus)]


def slots(workers: int | None, device: str) -> list[Slot]:
    """Return a slot for each worker.

    Args:
        workers: How many; by default one for each GPU, or one where there is none.
        device: The engine's device setting; `cpu` leaves GPUs alone, and one that is named by its
            number (`cuda:1`) is for all workers: they see every GPU, and the engine picks it.
    """
    if device.startswith("cuda:"):
        gpu = f"gpu{device.removeprefix('cuda:')}"
        return [Slot(f"{gpu}-{place}" if place else gpu, {}) for place in range(workers or 1)]
    gpus = [] if device == "cpu" else cuda_devices()
    if gpus:
        count = workers or len(gpus)
        chosen = [gpus[place % len(gpus)] for place in range(count)]
        return [
            Slot(
                f"gpu{gpu}" if place < len(gpus) else f"gpu{gpu}-{place // len(gpus)}",
                {"CUDA_VISIBLE_DEVICES": gpu},
            )
            for place, gpu in enumerate(chosen)
        ]
    count = workers or 1
    threads = str(max(1, num_cores() // count))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return [Slot(f"cpu{place}", dict.fromkeys(names, threads)) for place in range(count)]


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
