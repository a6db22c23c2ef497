"""What injection costs, and whether it is undone."""

import gc
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args

import psutil

from pmi_kernel.bench.figures import show_figures
from pmi_kernel.config import EngineConfig
from pmi_kernel.engines.base import Engine, Lesson, Message, Prompt, Sampling
from pmi_kernel.engines.injection import Strategy
from pmi_kernel.memory.lora import LoraRecipe, LoraWeights

EngineName = Literal["hf", "vllm"]
"""Engines with a model."""

ENGINES: tuple[EngineName, ...] = get_args(EngineName)

_PROMPT = (Message("user", "Where was Quill Tarvane born?"),)
_TEXT = "Quill Tarvane was born in Ostermoor."
_LESSONS = (Lesson(_TEXT),)


def restore(
    cycles: int = 1000,
    engine: EngineName = "hf",
    model: str = "smollm2-135m",
    out: Path | None = None,
) -> dict[str, float]:
    """Attach and detach a memory many times: are scores bit-equal, does memory stay flat?

    Args:
        cycles: Attach and detach so many times, with one scored request under each memory.
        engine: What serves: hf or vllm.
        model: The model, as in pmi run.
        out: Write the figures here too, as JSON.
    """
    serving = EngineConfig(engine=engine, model=model).build_engine()
    weights = serving.train(_LESSONS, LoraRecipe(steps=4)).weights
    before = serving.score(_PROMPT, _TEXT)
    process = psutil.Process()

    def cycle() -> None:
        adapter = serving.attach(weights)
        serving.score(_PROMPT, _TEXT, adapter=adapter)
        serving.detach(adapter)

    for _ in range(20):
        cycle()
    gc.collect()
    rss_before, start = process.memory_info().rss, time.perf_counter()
    for _ in range(cycles):
        cycle()
    seconds = time.perf_counter() - start
    gc.collect()
    figures = {
        "cycles": float(cycles),
        "bit_equal": float(serving.score(_PROMPT, _TEXT) == before),
        "rss_before_mb": rss_before / 1e6,
        "rss_growth_mb": (process.memory_info().rss - rss_before) / 1e6,
        "ms_per_cycle": 1e3 * seconds / cycles,
    }
    return show_figures(figures, out)


def inject(model: str = "smollm2-135m", out: Path | None = None) -> dict[str, float]:
    """Seconds and bytes of an injection by every engine and strategy, against purge and reload.

    Training is apart, as it is the same for all. `asked` is attach, one scored question under the
    memory, and detach: a strategy that puts work off until the first request pays for it there.
    vLLM is measured where it is installed.

    Args:
        model: The model, as in pmi run.
        out: Write the figures here too, as JSON.
    """
    figures: dict[str, float] = {}
    for name in ENGINES if find_spec("vllm") else ("hf",):
        for strategy in get_args(Strategy):
            config = EngineConfig(engine=name, model=model, strategy=strategy, dtype="float32")
            engine = config.build_engine()
            trained = engine.train(_LESSONS, LoraRecipe())
            figures["train_s"] = trained.seconds_s
            figures["bytes"] = float(trained.weights.num_bytes)
            times = [_swap_s(engine, trained.weights) for _ in range(3)]
            for part, values in zip(
                ("attach", "detach", "asked"), zip(*times, strict=True), strict=True
            ):
                figures[f"{name}_{strategy}_{part}_s"] = median(values)
            engine.close()
        for strategy in ("hot", "inplace"):
            for part, parts in (("asked", ("asked",)), ("swap", ("attach", "detach"))):
                reload, other = (
                    sum(figures[f"{name}_{one}_{part}_s"] for part in parts)
                    for one in ("merge_reload", strategy)
                )
                figures[f"{name}_merge_reload_over_{strategy}_{part}"] = reload / other
    return show_figures(figures, out)


def _swap_s(engine: Engine, weights: LoraWeights) -> tuple[float, float, float]:
    """Seconds of attach, of detach, and of both with one scored question in between."""
    start = time.perf_counter()
    adapter = engine.attach(weights)
    attached = time.perf_counter()
    engine.score(_PROMPT, _TEXT, adapter=adapter)
    asked = time.perf_counter()
    engine.detach(adapter)
    end = time.perf_counter()
    return attached - start, end - asked, end - start


def rows(
    num_rows: int = 8, tokens: int = 24, model: str = "smollm2-135m", out: Path | None = None
) -> dict[str, float]:
    """Decode a batch in which every row has its own memory: our row-wise LoRA against PEFT's.

    Args:
        num_rows: Rows, and memories.
        tokens: New tokens of each.
        model: The model, as in pmi run.
        out: Write the figures here too, as JSON.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from pmi_kernel.engines.models import resolve_model
    from pmi_kernel.memory.rows import LoraRows
    from pmi_kernel.memory.training import Trained, TrainJob, TrainRow, train_loras

    base: Any = AutoModelForCausalLM.from_pretrained(resolve_model(model), dtype=torch.float32)
    base.eval().requires_grad_(False)
    hooks = LoraRows(base)
    ids = torch.arange(1, 129).repeat(num_rows, 1)

    def decode_s(**kwargs: Any) -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            base.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                do_sample=False,
                **kwargs,
            )
        return time.perf_counter() - start

    jobs = [TrainJob((TrainRow((5, 6, 7)),), seed=row) for row in range(num_rows)]
    recipe = LoraRecipe(steps=1)
    trained = train_loras(base, hooks, jobs, recipe)
    memories = [memory.weights for memory in trained if isinstance(memory, Trained)]
    decode_s()
    figures = {"base_s": decode_s()}
    start = time.perf_counter()
    factors = hooks.gather(memories)
    figures["ours_attach_s"] = (time.perf_counter() - start) / num_rows
    with hooks.using(factors):
        figures["ours_s"] = decode_s()
    config = LoraConfig(r=recipe.rank, lora_alpha=int(recipe.alpha), target_modules="all-linear")
    start = time.perf_counter()
    wrapped = get_peft_model(base, config, adapter_name="row0")
    for row in range(1, num_rows):
        wrapped.add_adapter(f"row{row}", config)
    figures["peft_attach_s"] = (time.perf_counter() - start) / num_rows
    base = wrapped.eval()
    figures["peft_s"] = decode_s(adapter_names=[f"row{row}" for row in range(num_rows)])
    figures["peft_over_ours"] = figures["peft_s"] / figures["ours_s"]
    return show_figures(figures, out)


def train(
    tokens: int = 96,
    steps: int = 5,
    most: int = 32,
    model: str = "smollm2-135m",
    out: Path | None = None,
) -> dict[str, float]:
    """Adapters trained per second, K together, against PEFT's one after the other.

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
    from pmi_kernel.memory.rows import LoraRows
    from pmi_kernel.memory.training import TrainJob, TrainRow, train_loras

    device = choose_device("auto")
    base: Any = AutoModelForCausalLM.from_pretrained(resolve_model(model), dtype=torch.float32)
    base.to(device).eval().requires_grad_(False)
    rows = LoraRows(base)
    rate = _matmul_flops_per_s(device)
    recipe = LoraRecipe(steps=steps)
    layers = rows.layers.values()
    frozen = sum(layer.weight.numel() for layer in layers)
    frozen += base.get_output_embeddings().weight.numel()
    adapter = recipe.rank * sum(layer.in_features + layer.out_features for layer in layers)
    work = (4 * frozen + 6 * adapter) * tokens * steps
    ids = torch.randint(5, 1000, (most, tokens), generator=torch.Generator().manual_seed(0))
    figures: dict[str, float] = {"tokens": float(tokens), "steps": float(steps)}
    count = 1
    while count <= most:
        jobs = [
            TrainJob((TrainRow(tuple(row.tolist())),), seed=k) for k, row in enumerate(ids[:count])
        ]
        train_loras(base, rows, jobs, LoraRecipe(steps=1))
        start = time.perf_counter()
        train_loras(base, rows, jobs, recipe)
        per_s = count / (time.perf_counter() - start)
        figures[f"k{count}_per_s"] = per_s
        figures[f"k{count}_share"] = per_s * work / rate
        count *= 2
    figures["peft_per_s"] = _peft_per_s(base, ids[:2].to(device), recipe)
    figures["best_over_peft"] = (
        max(value for name, value in figures.items() if name.startswith("k") and "per_s" in name)
        / figures["peft_per_s"]
    )
    return show_figures(figures, out)


def _matmul_flops_per_s(device: Any, size: int = 1024) -> float:
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


def _peft_per_s(base: Any, ids: Any, recipe: LoraRecipe) -> float:
    """Adapters per second when PEFT trains them one after the other, as its users do."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=recipe.rank, lora_alpha=int(recipe.alpha), target_modules="all-linear")
    wrapped = get_peft_model(base, config)
    start = time.perf_counter()
    for number, row in enumerate(ids):
        name = f"memory{number}"
        wrapped.add_adapter(name, config)
        wrapped.set_adapter(name)
        parameters = [p for p in wrapped.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=recipe.lr)
        for _ in range(recipe.steps):
            wrapped(input_ids=row[None], labels=row[None]).loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        wrapped.delete_adapter(name)
    return len(ids) / (time.perf_counter() - start)


def generate(
    tokens: int = 48,
    repeats: int = 5,
    engine: EngineName = "hf",
    model: str = "smollm2-135m",
    out: Path | None = None,
) -> dict[str, float]:
    """Tokens per second of the engine layer, against the bare library on the same prompts.

    The two take turns and the medians are compared. transformers is asked one prompt at a time,
    vLLM sixteen at once, each from a thread of its own.

    Args:
        tokens: Most new tokens of each prompt; the library makes as many as the layer did.
        repeats: Turns over the prompts.
        engine: What serves: hf or vllm.
        model: The model, as in pmi run.
        out: Write the figures here too, as JSON.
    """
    from pmi_kernel.data import load_examples
    from pmi_kernel.prompts import answer_prompt

    questions = [example.task.question for example in load_examples("sample")[:16]]
    prompts = [answer_prompt(question, None, shots=3) for question in questions]
    config = EngineConfig(engine=engine, model=model, dtype="float32")
    serving = config.build_engine()
    bare = _bare_vllm if engine == "vllm" else _bare_transformers
    groups = [prompts] if engine == "vllm" else [[prompt] for prompt in prompts[:4]]
    layer_rates: list[float] = []
    bare_rates: list[float] = []
    for turn in range(repeats + 1):
        for group in groups:
            start = time.perf_counter()
            with ThreadPoolExecutor(len(group)) as pool:
                made = list(pool.map(partial(_num_made, serving, tokens), group))
            layer_rate = sum(made) / (time.perf_counter() - start)
            bare_rate = bare(serving, group, made)
            if turn:  # the first is warm-up
                layer_rates.append(layer_rate)
                bare_rates.append(bare_rate)
    figures = {
        "bare_tokens_per_s": median(bare_rates),
        "layer_tokens_per_s": median(layer_rates),
    }
    figures["layer_costs_percent"] = 100 * (
        figures["bare_tokens_per_s"] / figures["layer_tokens_per_s"] - 1
    )
    return show_figures(figures, out)


def _num_made(engine: Engine, tokens: int, prompt: Prompt) -> int:
    return len(engine.generate(prompt, sampling=Sampling(max_tokens=tokens)).token_ids)


def _bare_transformers(engine: Any, prompts: Sequence[Prompt], made: Sequence[int]) -> float:
    """Tokens per second of transformers' own `generate`."""
    import torch

    model, chat = engine.checkpoint.model, engine.checkpoint.chat
    ids = torch.tensor([chat.render(prompt) for prompt in prompts], device=model.device)
    start = time.perf_counter()
    with torch.inference_mode():
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=made[0],
            max_new_tokens=made[0],
            do_sample=False,
        )
    return sum(made) / (time.perf_counter() - start)


def _bare_vllm(engine: Any, prompts: Sequence[Prompt], made: Sequence[int]) -> float:
    """Tokens per second of vLLM's own engine, all prompts at once."""
    from vllm import SamplingParams
    from vllm.inputs.engine import tokens_input
    from vllm.sampling_params import RequestOutputKind

    with engine.driver.idle() as llm:
        start = time.perf_counter()
        for number, (prompt, count) in enumerate(zip(prompts, made, strict=True)):
            ids = engine.checkpoint.chat.render(prompt)
            params = SamplingParams(
                temperature=0.0,
                max_tokens=count,
                ignore_eos=True,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            llm.add_request(f"bare-{number}", tokens_input(list(ids)), params)
        while llm.has_unfinished_requests():
            llm.step()
    return sum(made) / (time.perf_counter() - start)
