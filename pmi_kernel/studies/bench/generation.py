"""What the engine layer costs on top of the library under it."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from pmi_kernel.engines.base import Engine, Sampling
from pmi_kernel.engines.compute import computing
from pmi_kernel.engines.config import EngineConfig
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.studies.bench.figures import Dtype, EngineName, show_figures


def generate(
    tokens: int = 48,
    repeats: int = 5,
    engine: EngineName = "hf",
    model: str = "smollm2-135m",
    dtype: Dtype = "float32",
    out: Path | None = None,
) -> dict[str, float]:
    """Tokens per second of the engine layer, against the bare library on the same prompts.

    The two take turns in one thread, and the medians are compared. transformers is asked one prompt
    at a time, vLLM sixteen at once, each from a thread of its own.

    Args:
        tokens: Most new tokens of each prompt; the library makes as many as the layer did.
        repeats: Turns over the prompts.
        engine: What serves: hf or vllm.
        model: The model, as in pmi run.
        dtype: Number format, as in pmi run.
        out: Write the figures here too, as JSON.
    """
    from pmi_kernel.data import load_examples
    from pmi_kernel.prompting.answer import answer_prompt

    questions = [example.task.question for example in load_examples("sample")[:16]]
    prompts = [answer_prompt(question, None, shots=3) for question in questions]
    config = EngineConfig(engine=engine, model=model, dtype=dtype)
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


@computing
def _bare_transformers(engine: Any, prompts: Sequence[Prompt], made: Sequence[int]) -> float:
    """Tokens per second of transformers' own `generate`."""
    import torch

    model, chat = engine.loaded.model, engine.loaded.chat
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
    token_ids = [list(engine.loaded.chat.render(prompt)) for prompt in prompts]
    with engine.driver.idle() as llm:
        return sum(made) / float(engine.driver.work(_vllm_s, llm, token_ids, made))


def _vllm_s(llm: Any, prompts: Sequence[list[int]], made: Sequence[int]) -> float:
    """Seconds that vLLM takes to make so many tokens after each prompt."""
    from vllm import SamplingParams
    from vllm.inputs.engine import tokens_input
    from vllm.sampling_params import RequestOutputKind

    start = time.perf_counter()
    for number, (prompt, count) in enumerate(zip(prompts, made, strict=True)):
        params = SamplingParams(
            temperature=0.0,
            max_tokens=count,
            ignore_eos=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        llm.add_request(f"bare-{number}", tokens_input(prompt), params)
    while llm.has_unfinished_requests():
        llm.step()
    return time.perf_counter() - start
