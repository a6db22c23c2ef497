"""Batches on a model, in the format in which a row does not depend on its batch."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from pmi_kernel.engines.base import Engine
from pmi_kernel.episodes.asking import read_unrelated
from pmi_kernel.episodes.probes import asked
from pmi_kernel.jobs import Job
from pmi_kernel.runs import RunSettings, run, supervise
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig
from tests.runs.results import timeless
from tests.waiting import ends, eventually, within

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


@pytest.mark.parametrize("how", ["interrupt", "force"])
def test_a_run_in_this_process_is_stopped_in_the_middle_of_a_training(
    engine_name: str, tiny: str, engine: Engine, tmp_path: Path, how: str
) -> None:
    config = CONFIG.model_copy(update={"engine": engine_name, "model": tiny})
    endless = config.but(mem_steps=1_000_000)
    out = tmp_path / "run"
    asked_s: list[float] = []

    def stop() -> None:
        def is_training() -> bool:
            workers = Job(out).status()["workers"] if (out / "status.json").exists() else {}
            stages = [
                text for worker in workers.values() for text in worker.get("stages", {}).values()
            ]
            return any(re.fullmatch(r"training step [1-9]\d* of 1000000", one) for one in stages)

        eventually(is_training, "no training was told of")
        asked_s.append(time.monotonic())
        if how == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        else:
            Job(out).cancel(is_forced=True)

    system = open_system(endless, engine)
    before = read_unrelated(asked(system))
    threading.Thread(target=stop).start()
    with ends(out):
        outcome = run(RunSettings(out=out, limit=2), endless, system=system)
    assert time.monotonic() - asked_s[0] < within(1)
    assert outcome.is_interrupted
    assert outcome.num_run == 0
    assert Job(out).status()["state"] == ("interrupted" if how == "interrupt" else "cancelled")
    assert (out / "eval_results.jsonl").read_text(encoding="utf-8") == ""
    assert read_unrelated(asked(system)) == before
