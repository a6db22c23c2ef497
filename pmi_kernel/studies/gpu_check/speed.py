"""The benchmarks, in sizes that fit the check's time."""

from pmi_kernel.studies.bench import batch, generation, injection, training
from pmi_kernel.studies.bench.figures import Dtype
from pmi_kernel.studies.gpu_check.table import Measures, Setting


def swap(setting: Setting) -> Measures:
    """See the table."""
    return injection.inject(engine="hf", model=setting.model)


def injections(setting: Setting) -> Measures:
    """See the table."""
    tokens, steps = (8, 1) if setting.is_small else (96, 5)
    return training.train(tokens=tokens, steps=steps, most=64, model=setting.model)


def tokens(setting: Setting) -> Measures:
    """See the table."""
    num_rows, count = (2, 4) if setting.is_small else (16, 64)
    figures = injection.rows(num_rows=num_rows, tokens=count, model=setting.model)
    rates = {
        f"{name.removesuffix('_s')}_tokens_per_s": num_rows * count / figures[name]
        for name in ("base_s", "ours_s", "peft_s")
        if name in figures
    }
    repeats = 1 if setting.is_small else 2
    layer = generation.generate(tokens=count // 2, repeats=repeats, model=setting.model)
    return {**figures, **rates, **layer}


def job(setting: Setting) -> Measures:
    """See the table."""
    if setting.is_small:
        return batch.episodes(1, 1, model=setting.model, ways=("original", "hot_1"))
    ways = ("original", "hot_1", "hot_16", "hot_two_workers")
    return batch.episodes(6, 2, model=setting.model, ways=ways)


def vllm_job(setting: Setting) -> Measures:
    """See the table."""
    limit = 1 if setting.is_small else 16
    dtype: Dtype = "bfloat16" if setting.device == "cuda" else "float32"
    ways = ("hot_1", "hot_16")
    return batch.episodes(limit, engine="vllm", model=setting.model, ways=ways, dtype=dtype)
