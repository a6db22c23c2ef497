"""What a batch costs beside its episodes, and whether it loses anything."""

import random
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from pmi_kernel.data import write_examples
from pmi_kernel.data.synth import synthesize
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.scripted import first_title
from pmi_kernel.jobs import Job
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.runs import RunSettings, launch, run, supervise
from pmi_kernel.runs.merge import merge
from pmi_kernel.runs.progress import RunningScores
from pmi_kernel.studies.bench.figures import Dtype, EngineName, show_figures
from pmi_kernel.systems.pmi.config import PmiConfig

RECOMMENDED: dict[str, Any] = {
    "retriever": "bm25",
    "action_decoding": "guided",
    "compression": "extractive",
}
"""Settings for the embedded model; see the README."""


def episodes(
    limit: int = 16,
    limit_original: int = 4,
    engine: EngineName = "hf",
    model: str = "smollm2-135m",
    dtype: Dtype = "float32",
    ways: tuple[str, ...] = (),
    out: Path | None = None,
) -> dict[str, float]:
    """Episodes per minute of the whole PMI job, loading the model apart.

    `original` is the procedure that others are compared with: one episode after the other, and
    merge, save, purge, reload for each memory. The others inject by strategy hot: 1, 4 and 16
    episodes at once in one worker, and (hf) one at a time in each of two workers.

    Args:
        limit: Episodes for each way, the same ones.
        limit_original: Episodes for the original procedure: the first of them.
        engine: What serves: hf or vllm.
        model: The model, as in pmi run.
        dtype: Number format, as in pmi run.
        ways: Only these: original, hot_1, hot_4, hot_16, hot_two_workers (empty: all).
        out: Write the figures here too, as JSON.
    """
    config = PmiConfig(engine=engine, model=model, train_mem=True, dtype=dtype, **RECOMMENDED)
    known = {"original": (1, 1), "hot_1": (1, 1), "hot_4": (1, 4), "hot_16": (1, 16)}
    if engine == "hf":
        known["hot_two_workers"] = (2, 1)
    figures = {"episodes": float(limit), "episodes_original": float(limit_original)}
    for name in ways or known:
        workers, concurrency = known[name]
        is_original = name == "original"
        with tempfile.TemporaryDirectory() as folder:
            settings = RunSettings(
                out=Path(folder),
                limit=limit_original if is_original else limit,
                workers=workers,
                concurrency=concurrency,
            )
            strategy = "merge_reload" if is_original else "hot"
            supervise(settings, config.model_copy(update={"strategy": strategy}))
            figures[f"{name}_per_min"] = Job(Path(folder)).status()["episodes_per_min"]
    if original := figures.get("original_per_min"):
        for name in ways or known:
            figures[f"{name}_over_original"] = figures[f"{name}_per_min"] / original
    return show_figures(figures, out)


def harness(episodes: int = 100_000, out: Path | None = None) -> dict[str, float]:
    """What the batch machinery costs per episode, with an engine that costs nothing.

    Args:
        episodes: Episodes to run.
        out: Write the figures here too, as JSON.
    """
    process = psutil.Process()
    config = PmiConfig(engine="scripted", train_mem=True, mem_steps=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_short(folder / "data.jsonl", episodes)
        memory: list[int] = []

        def look(*_: object) -> None:
            if len(memory) < 2 or random.random() < 1e-3:
                memory.append(process.memory_info().rss)

        settings = RunSettings(data=str(folder / "data.jsonl"), out=folder / "run", workers=1)
        start = time.perf_counter()
        outcome = supervise(settings, config, on_result=look)
        total_s = time.perf_counter() - start
        start = time.perf_counter()
        merge(folder / "run")
        figures = {
            "episodes": float(outcome.num_run),
            "total_s": total_s,
            "ms_per_episode": 60e3 / Job(folder / "run").status()["episodes_per_min"],
            "merge_s": time.perf_counter() - start,
            "parent_rss_mb": memory[1] / 1e6,
            "parent_growth_mb": (memory[-1] - memory[1]) / 1e6,
        }
    return show_figures(figures, out)


def _write_short(path: Path, count: int) -> None:
    """Many small questions, so that the harness is measured and not the reading of text."""
    few = synthesize(50, 3)
    examples = []
    for number in range(count):
        example = few[number % len(few)]
        context = tuple(
            replace(paragraph, sentences=paragraph.sentences[:1])
            for paragraph in example.task.context[:2]
        )
        task = replace(example.task, id=f"short-{number:07d}", context=context)
        gold = replace(example.gold, supporting_facts=())
        examples.append(replace(example, task=task, gold=gold))
    write_examples(examples, path)


def slow_title(prompt: Prompt, adapter: Adapter | None) -> str:
    """Answer as `first_title` does, a hundredth of a second later."""
    time.sleep(0.01)
    return first_title(prompt, adapter)


def crash(kills: int = 200, seed: int = 0, out: Path | None = None) -> dict[str, float]:
    """Kill workers and parents of background runs at random: is anything lost, or there twice?

    Args:
        kills: How often to kill.
        seed: Seeds victims and times.
        out: Write the figures here too, as JSON.
    """
    rng = random.Random(seed)
    script = f"{__name__}:{slow_title.__name__}"
    config = PmiConfig(engine="scripted", model=script, train_mem=True, mem_steps=2)
    counts = ("parents_killed", "workers_killed", "left_pending", "runs", "runs_the_same")
    figures = dict.fromkeys(counts, 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(RunSettings(out=folder / "whole"), config)
        while figures["parents_killed"] + figures["workers_killed"] < kills:
            figures["runs"] += 1
            settings = RunSettings(out=folder / f"run-{figures['runs']:.0f}", workers=2)
            job = launch(config, settings)
            scores, num_done = RunningScores(settings.out), 0
            while (status := job.status())["state"] != "done" or status["failed"]:
                if status["state"] == "done":  # killed twice at one episode, which is left pending
                    figures["left_pending"] += status["failed"]
                    job = launch(config, settings)
                # Mostly in the middle of the work, at times while everything is starting.
                is_early = rng.random() < 0.1
                while not is_early and scores.update() <= num_done and job.is_running:
                    time.sleep(0.02)
                time.sleep(rng.uniform(0.0, 0.2))
                num_done = scores.update()
                victim = kill_at_random(job, rng)
                if victim:
                    figures[f"{victim}s_killed"] += 1
                if not job.is_running and job.status()["state"] != "done":
                    job = launch(config, settings)
            figures["runs_the_same"] += _same(folder / "whole", settings.out)
    return show_figures(figures, out)


def kill_at_random(job: Job, rng: random.Random) -> str | None:
    """Kill a job's parent or one of its workers; say which, or None where nobody was there."""
    owner = job.owner
    if owner is None:
        return None
    try:
        workers = [p for p in owner.children() if "spawn_main" in " ".join(p.cmdline())]
        victim = rng.choice([owner, *workers])
        victim.kill()
    except psutil.Error:
        return None
    return "parent" if victim == owner else "worker"


def _same(one: Path, other: Path) -> bool:
    def timeless(path: Path) -> str:
        return re.sub(r'("[a-z_]*_s": )[0-9.e-]+', r"\g<1>0", path.read_text(encoding="utf-8"))

    names = ("eval_results.jsonl", "episode_trace.jsonl")
    return all(timeless(one / name) == timeless(other / name) for name in names)
