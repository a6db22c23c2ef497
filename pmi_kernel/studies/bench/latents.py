"""What a latent bottleneck keeps of a context, by paragraphs and latents, and what it costs."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.task import Task
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.reports.intervals import Interval, share_interval
from pmi_kernel.studies.bench.figures import show_figures
from pmi_kernel.studies.latents import PARAGRAPHS, curves, is_right, worlds
from pmi_kernel.systems.latent_t5.answering import Loaded, T5System
from pmi_kernel.systems.latent_t5.baseline import BaselineT5System
from pmi_kernel.systems.latent_t5.config import BaselineT5Config, LatentT5Config
from pmi_kernel.systems.latent_t5.model import BaselineT5, Encoded
from pmi_kernel.systems.latent_t5.system import LatentT5System, Memory

_LENGTHS = (3, 6, 12)
"""Paragraphs of the contexts that are timed; the first is what most of the training had."""
_ANY_LENGTH = 1_000_000
_ANSWER_TOKENS = 8


def latents(
    asked: str = "latent-t5-tiny",
    blind: str = "latent-t5-tiny-blind",
    baseline: str = "baseline-t5-tiny",
    n: int = 200,
    seed: int = 1,
    timed: int = 12,
    out: Path | None = None,
) -> dict[str, float]:
    """What the latents keep of a context: shares in percent with 95 % intervals, seconds, memory.

    Asked of worlds that share no name and no sentence with training: with the gate open, closed,
    and open on another question's context (other), and the latents' attention mass on the
    supporting sentence; by paragraphs of the context, and by latents used. The baseline on the same
    questions. Then seconds and memory a question, by length of the context: the context read and
    asked once (first), asked again (more), and the baseline, none of them cutting anything off.

    Args:
        asked: Checkpoint whose latents look at the question; these two, or one of them and none.
        blind: Checkpoint whose latents do not, or none.
        baseline: Checkpoint of the baseline, beside them, or none.
        n: Questions of each kind.
        seed: Of the worlds; the training's evaluations had 0.
        timed: Questions that are timed at each length.
        out: Write the figures here too, as JSON.
    """
    named = {"asked": asked, "blind": blind}
    if set(named.values()) == {"none"}:
        raise ConfigError("name a checkpoint with --asked or --blind, as pmi train latent_t5 makes")
    figures: dict[str, float] = {"n": n}
    of_latents = {
        name: LatentT5System(LatentT5Config(checkpoint=checkpoint))
        for name, checkpoint in named.items()
        if checkpoint != "none"
    }
    plain = None if baseline == "none" else BaselineT5System(BaselineT5Config(checkpoint=baseline))
    for number, found in enumerate(curves(of_latents, n=n, seed=seed)):
        is_first = number < len(PARAGRAPHS) * len(of_latents)
        by = f"paragraphs_{found.paragraphs}" if is_first else f"latents_{found.latents}"
        for kind in found.shares if is_first else ("open",):
            figures |= _share(f"{found.name}_{by}_{kind}", found.shares[kind])
        figures[f"{found.name}_{by}_support_mass"] = found.support_mass
    if plain:
        for count in PARAGRAPHS:
            examples = worlds(n, seed, count)
            said = [Episode(plain, one).run().prediction for one in examples]
            rights = [float(is_right(a, one)) for a, one in zip(said, examples, strict=True)]
            figures |= _share(f"baseline_paragraphs_{count}", share_interval(rights))
    return show_figures(figures | _costs(of_latents, plain, timed, seed), out)


def _share(name: str, share: Interval) -> dict[str, float]:
    """A share in percent with its 95 % interval."""
    return {
        f"{name}_em": 100 * share.mean,
        f"{name}_em_low": 100 * share.low,
        f"{name}_em_high": 100 * share.high,
    }


# -- what it costs --------------------------------------------------------------------------------


def _costs(
    of_latents: Mapping[str, LatentT5System], plain: T5System[Any] | None, timed: int, seed: int
) -> dict[str, float]:
    """Seconds and peak memory a question by the context's length, and how they grow with it."""
    sides: dict[str, Callable[[Task], Encoded]] = {}
    for name, system in of_latents.items():
        sides[f"{name}_first"] = _uncut(system).encoded
        sides[f"{name}_more"] = _asked_again(_uncut(system))
    if plain:
        sides["baseline"] = _uncut(plain).encoded
    models = {name: of_latents[name.partition("_")[0]].model for name in sides if "_" in name}
    models |= {"baseline": plain.model} if plain else {}
    figures: dict[str, float] = {}
    for count in _LENGTHS:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for example in worlds(timed + 1, seed, count):
            for name, encoded in sides.items():
                found[name].append(_measured(encoded, models[name], example.task))
        for name, measured in found.items():
            seconds, kilobytes = zip(*measured[1:], strict=True)  # the first one is slower
            figures[f"{name}_{count}_ms"] = 1000 * median(seconds)
            figures[f"{name}_{count}_kb"] = median(kilobytes)
    first, last = _LENGTHS[0], _LENGTHS[-1]
    for name in sides:
        for unit in ("ms", "kb"):
            ratio = figures[f"{name}_{last}_{unit}"] / figures[f"{name}_{first}_{unit}"]
            figures[f"{name}_{last // first}x_{unit}_ratio"] = ratio
    return figures


def _uncut(system: Any) -> Any:
    """The same system, which cuts nothing off."""
    loaded: Loaded = system.loaded
    limits = replace(loaded.built.limits, question=_ANY_LENGTH, context=_ANY_LENGTH)
    return type(system)(system.config, replace(loaded, built=replace(loaded.built, limits=limits)))


def _asked_again(system: LatentT5System) -> Callable[[Task], Encoded]:
    """What encodes a question about a context that was read before."""
    read: dict[str, Memory] = {}

    def encoded(task: Task) -> Encoded:
        if task.id not in read:
            read.clear()
            read[task.id] = system.memory(task.context)
        return system.encoded(replace(task, context=()), read[task.id])

    return encoded


def _measured(
    encoded: Callable[[Task], Encoded], model: BaselineT5, task: Task
) -> tuple[float, float]:
    """Seconds and kilobytes at most, of as many tokens of an answer for everybody."""

    def answer() -> None:
        with torch.inference_mode():
            model.generate(encoded(task), _ANSWER_TOKENS, _ANSWER_TOKENS)

    answer()  # what is read once for all questions is there now
    began = time.perf_counter()
    answer()
    seconds = time.perf_counter() - began
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        answer()
    total = most = 0
    events = seen.profiler.kineto_results.events() if seen.profiler else []
    for event in sorted(events, key=lambda one: one.start_ns()):
        if event.name() == "[memory]":
            total += event.nbytes()
            most = max(most, total)
    return seconds, most / 1000
