"""What training memories together costs."""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.studies.bench.figures import show_figures


def train(
    tokens: int = 96,
    steps: int = 5,
    most: int = 32,
    model: str = "smollm2-135m",
    out: Path | None = None,
) -> dict[str, float]:
    """Adapters trained per second, K together, against PEFT's one after the other (if installed).

    `share` is of the machine's measured float32 matmul rate, counting what a frozen base cannot do
    without: 4 operations for each of its matrices' parameters and token (forward, and the gradient
    of the activations), and 6 for each of an adapter's.

    Args:
        tokens: Tokens of each snippet.
        steps: Optimiser steps.
        most: Largest K; 1, 2, 4, ... up to it.
        model: The model, as in pmi run.
        out: Write the figures here too, as JSON.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from pmi_kernel.engines.device import choose_device
    from pmi_kernel.engines.models import resolve_model
    from pmi_kernel.lora.rows import LoraRows
    from pmi_kernel.lora.training import MemoryTask, TrainRow, train_loras

    device = choose_device("auto")
    base: Any = AutoModelForCausalLM.from_pretrained(resolve_model(model), dtype=torch.float32)
    base.to(device).eval().requires_grad_(False)
    rows = LoraRows(base)
    rate = _matmul_flops_per_s(device, 8192 if device.type == "cuda" else 1024)
    lora = LoraConfig(steps=steps)
    layers = rows.layers.values()
    frozen = sum(layer.weight.numel() for layer in layers)
    frozen += base.get_output_embeddings().weight.numel()
    adapter = lora.rank * sum(layer.in_features + layer.out_features for layer in layers)
    work = (4 * frozen + 6 * adapter) * tokens * steps
    ids = torch.randint(5, 1000, (most, tokens), generator=torch.Generator().manual_seed(0))
    figures: dict[str, float] = {"tokens": float(tokens), "steps": float(steps)}
    count = 1
    while count <= most:
        tasks = [
            MemoryTask((TrainRow(tuple(row.tolist())),), seed=k)
            for k, row in enumerate(ids[:count])
        ]
        train_loras(base, rows, tasks, LoraConfig(steps=1))
        start = time.perf_counter()
        train_loras(base, rows, tasks, lora)
        per_s = count / (time.perf_counter() - start)
        figures[f"k{count}_per_s"] = per_s
        figures[f"k{count}_share"] = per_s * work / rate
        count *= 2
    if find_spec("peft") is None:
        return show_figures(figures, out)
    figures["peft_per_s"] = _peft_per_s(base, ids[:2].to(device), lora)
    figures["best_over_peft"] = (
        max(value for name, value in figures.items() if name.startswith("k") and "per_s" in name)
        / figures["peft_per_s"]
    )
    return show_figures(figures, out)


def _matmul_flops_per_s(device: Any, size: int) -> float:
    import torch

    a = torch.randn(size, size, device=device)
    for _ in range(3):
        a @ a
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _peft_per_s(base: Any, ids: Any, lora: LoraConfig) -> float:
    """Adapters per second when PEFT trains them one after the other, as its users do."""
    import torch
    from peft import LoraConfig as PeftConfig
    from peft import get_peft_model

    config = PeftConfig(r=lora.rank, lora_alpha=int(lora.alpha), target_modules="all-linear")
    wrapped = get_peft_model(base, config)
    start = time.perf_counter()
    for number, row in enumerate(ids):
        name = f"memory{number}"
        wrapped.add_adapter(name, config)
        wrapped.set_adapter(name)
        parameters = [p for p in wrapped.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=lora.lr)
        for _ in range(lora.steps):
            wrapped(input_ids=row[None], labels=row[None]).loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        wrapped.delete_adapter(name)
    return len(ids) / (time.perf_counter() - start)
