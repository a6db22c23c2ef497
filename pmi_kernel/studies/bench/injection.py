"""What injection costs, and whether it is undone."""

import gc
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, get_args

import psutil

from pmi_kernel.engines.base import Engine, Lesson
from pmi_kernel.engines.config import EngineConfig
from pmi_kernel.engines.injected import injected
from pmi_kernel.engines.injection import Strategy
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Message
from pmi_kernel.studies.bench.figures import ENGINES, Dtype, EngineName, show_figures

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
    weights = serving.train(_LESSONS, LoraConfig(steps=4)).weights
    before = serving.score(_PROMPT, _TEXT)
    process = psutil.Process()

    def cycle() -> None:
        with injected(serving, weights) as memory:
            serving.score(_PROMPT, _TEXT, adapter=memory.adapter)

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


def inject(
    engine: EngineName | None = None,
    model: str = "smollm2-135m",
    dtype: Dtype = "float32",
    out: Path | None = None,
) -> dict[str, float]:
    """Seconds and bytes of an injection by every engine and strategy, against purge and reload.

    Training is apart, as it is the same for all. `asked` is attach, one scored question under the
    memory, and detach: a strategy that puts work off until the first request pays for it there.
    vLLM is measured where it is installed.

    Args:
        engine: Only this one: hf or vllm.
        model: The model, as in pmi run.
        dtype: Number format, as in pmi run.
        out: Write the figures here too, as JSON.
    """
    figures: dict[str, float] = {}
    here = ENGINES if find_spec("vllm") else ("hf",)
    for name in (engine,) if engine else here:
        for strategy in get_args(Strategy):
            config = EngineConfig(engine=name, model=model, strategy=strategy, dtype=dtype)
            serving = config.build_engine()
            trained = serving.train(_LESSONS, LoraConfig())
            figures["train_s"] = trained.seconds_s
            figures["bytes"] = float(trained.weights.num_bytes)
            times = [_swap_s(serving, trained.weights) for _ in range(3)]
            for part, values in zip(
                ("attach", "detach", "asked"), zip(*times, strict=True), strict=True
            ):
                figures[f"{name}_{strategy}_{part}_s"] = median(values)
            serving.close()
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
    with injected(engine, weights) as memory:
        attached = time.perf_counter()
        engine.score(_PROMPT, _TEXT, adapter=memory.adapter)
        asked = time.perf_counter()
    end = time.perf_counter()
    return attached - start, end - asked, end - start


def rows(
    num_rows: int = 8, tokens: int = 24, model: str = "smollm2-135m", out: Path | None = None
) -> dict[str, float]:
    """Decode a batch in which every row has its own memory: our row-wise LoRA against PEFT's.

    PEFT is measured where it is installed.

    Args:
        num_rows: Rows, and memories.
        tokens: New tokens of each.
        model: The model, as in pmi run.
        out: Write the figures here too, as JSON.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from pmi_kernel.engines.device import choose_device
    from pmi_kernel.engines.models import resolve_model
    from pmi_kernel.lora.rows import LoraRows
    from pmi_kernel.lora.training import MemoryTask, Trained, TrainRow, train_loras

    base: Any = AutoModelForCausalLM.from_pretrained(resolve_model(model), dtype=torch.float32)
    base.to(choose_device("auto")).eval().requires_grad_(False)
    hooks = LoraRows(base)
    ids = torch.arange(1, 129, device=base.device).repeat(num_rows, 1)

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

    tasks = [MemoryTask((TrainRow((5, 6, 7)),), seed=row) for row in range(num_rows)]
    lora = LoraConfig(steps=1)
    trained = train_loras(base, hooks, tasks, lora)
    memories = [memory.weights for memory in trained if isinstance(memory, Trained)]
    decode_s()
    figures = {"base_s": decode_s()}
    start = time.perf_counter()
    factors = hooks.gather(memories)
    figures["ours_attach_s"] = (time.perf_counter() - start) / num_rows
    with hooks.using(factors):
        figures["ours_s"] = decode_s()
    if find_spec("peft") is None:
        return show_figures(figures, out)
    from peft import LoraConfig as PeftConfig
    from peft import get_peft_model

    config = PeftConfig(r=lora.rank, lora_alpha=int(lora.alpha), target_modules="all-linear")
    start = time.perf_counter()
    wrapped = get_peft_model(base, config, adapter_name="row0")
    for row in range(1, num_rows):
        wrapped.add_adapter(f"row{row}", config)
    figures["peft_attach_s"] = (time.perf_counter() - start) / num_rows
    base = wrapped.eval()
    figures["peft_s"] = decode_s(adapter_names=[f"row{row}" for row in range(num_rows)])
    figures["peft_over_ours"] = figures["peft_s"] / figures["ours_s"]
    return show_figures(figures, out)
