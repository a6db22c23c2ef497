"""Whether workers that share a GPU, or have one each, come to what one worker comes to."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import EngineError
from pmi_kernel.runs import RunSettings, supervise
from pmi_kernel.runs.devices import cuda_devices
from pmi_kernel.studies.gpu_check.table import Measures, Setting
from pmi_kernel.systems.pmi.config import PmiConfig

_EPISODES = 4


def workers(setting: Setting) -> Measures:
    """See the table."""
    gpus = (cuda_devices() or ["0"]) if setting.device == "cuda" else []
    ways = {"one": (1, gpus[:1]), "two": (2, gpus[:1])}
    if len(gpus) > 1:
        ways["each"] = (len(gpus), gpus)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, (count, visible) in ways.items():
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible)
        found[name] = _run(setting, Path(setting.folder) / "workers" / name, count)
    num_facts, most = 0, 0.0
    for name in found:
        for one, other in zip(found["one"], found[name], strict=True):
            for key in one.keys() | other.keys():
                a, b = one.get(key), other.get(key)
                if isinstance(a, float) and isinstance(b, float):
                    most = max(most, abs(a - b))
                else:
                    num_facts += a != b
    return {"facts_apart_count": num_facts, "numbers_apart": most, "ways": len(ways)}


def _run(setting: Setting, out: Path, count: int) -> list[dict[str, Any]]:
    """Run on so many workers; returns each merged line as its leaves by path, times left out."""
    config = PmiConfig(
        model=setting.model,
        device=setting.device,
        dtype="float32",
        train_mem=True,
        mem_steps=3,
        max_steps=2,
        shots=1,
        snippet_tokens=24,
        answer_tokens=12,
    )
    settings = RunSettings(out=out, limit=_EPISODES, workers=count, verify_restore=True)
    outcome = supervise(settings, config, say=print)
    if outcome.num_run != _EPISODES:
        errors = [path.read_text(encoding="utf-8") for path in out.glob("errors.*.jsonl")]
        raise EngineError(f"{outcome.num_run} of {_EPISODES} episodes were run: {errors}")
    return [
        dict(_leaves(json.loads(line)))
        for name in ("eval_results.jsonl", "episode_trace.jsonl")
        for line in (out / name).read_text(encoding="utf-8").splitlines()
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not key.endswith("_s"):
                yield from _leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{place}")
    else:
        yield path, value
