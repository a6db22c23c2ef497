"""Batches on a model, in the format in which a row does not depend on its batch."""

import json
from pathlib import Path

from pmi_kernel.engines.base import Engine
from pmi_kernel.runs import RunSettings, run, supervise
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig
from tests.runs.results import timeless

CONFIG = PmiConfig(
    train_mem=True,
    retriever="bm25",
    action_decoding="guided",
    compression="extractive",
    snippet_tokens=40,
    mem_steps=4,
    max_steps=2,
    shots=1,
    dtype="float32",
    max_batch=4,
    max_rank=16,
    kv_cache_gib=0.5,
)


def test_episodes_at_once_give_what_they_give_one_by_one(
    engine_name: str, tiny: str, engine: Engine, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"engine": engine_name, "model": tiny})
    run(RunSettings(out=tmp_path / "one", limit=3), config, system=open_system(config, engine))
    supervise(RunSettings(out=tmp_path / "three", limit=3, concurrency=3), config)

    one, three = (timeless(tmp_path / name / "eval_results.jsonl") for name in ("one", "three"))
    assert one == three
    summary = json.loads((tmp_path / "three" / "summary.json").read_text(encoding="utf-8"))
    assert summary["batch_invariant"] == "to float32 rounding"
    assert summary["num_injections"] == 3
