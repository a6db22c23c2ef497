"""Whether vLLM serves what transformers does, under each strategy."""

import gc
from concurrent.futures import ThreadPoolExecutor

from pmi_kernel.engines.injection import Strategy
from pmi_kernel.engines.vllm.engine import VllmEngine
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.studies.gpu_check.agreement import (
    TEXTS,
    build,
    learn,
    mean_apart,
    most_apart,
    scores,
)
from pmi_kernel.studies.gpu_check.table import Measures, Setting


def hot(setting: Setting) -> Measures:
    """See the table."""
    engine, memories, expected = _start(setting, "hot")
    before = scores(engine)
    under = scores(engine, memories[0])
    mixed = [memories[0], None, memories[1], None, memories[2]]
    alone = [scores(engine, memory) for memory in mixed]
    with ThreadPoolExecutor(len(mixed)) as pool:
        among = list(pool.map(lambda memory: scores(engine, memory), mixed))
    company = max(mean_apart(one, other) for one, other in zip(alone, among, strict=True))
    moved = most_apart(before, scores(engine))
    engine.close()
    return {
        "base_apart_mean_nats": mean_apart(before, expected[0]),
        "memory_apart_mean_nats": mean_apart(under, expected[1]),
        "company_apart_mean_nats": company,
        "base_moved_nats": moved,
        "memory_effect_mean_nats": mean_apart(*expected),
    }


def inplace(setting: Setting) -> Measures:
    """See the table."""
    return _exclusive(setting, "inplace")


def merge_reload(setting: Setting) -> Measures:
    """See the table."""
    return _exclusive(setting, "merge_reload")


def _exclusive(setting: Setting, strategy: Strategy) -> Measures:
    engine, memories, expected = _start(setting, strategy)
    before = scores(engine)
    under = scores(engine, memories[0])
    moved = most_apart(before, scores(engine))
    engine.close()
    return {
        "base_apart_mean_nats": mean_apart(before, expected[0]),
        "memory_apart_mean_nats": mean_apart(under, expected[1]),
        "base_moved_nats": moved,
    }


def _start(
    setting: Setting, strategy: Strategy
) -> tuple[VllmEngine, list[LoraWeights], tuple[tuple[float, ...], tuple[float, ...]]]:
    """An engine; a memory for each text; and what transformers says, base and under the first."""
    dtype = "bfloat16" if setting.device == "cuda" else "float32"
    reference = build(setting, dtype=dtype)
    memories = [learn(reference, text) for text in TEXTS]
    expected = scores(reference), scores(reference, memories[0])
    reference.close()
    del reference
    gc.collect()
    engine = VllmEngine(
        setting.model,
        strategy=strategy,
        device=setting.device,
        dtype=dtype,
        max_batch=8,
        max_rank=16,
        kv_cache_gib=0.5,
    )
    return engine, memories, expected
