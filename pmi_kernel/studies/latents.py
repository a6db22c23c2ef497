"""How much of a context a few latents keep: answers by paragraphs read, and by latents used."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pmi_kernel.core import progress
from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import StepKind
from pmi_kernel.data import load_examples
from pmi_kernel.episodes.controls import Controls
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.reports.intervals import Interval, share_interval
from pmi_kernel.reports.pages.select import mass_on
from pmi_kernel.systems.latent_t5.system import CLOSED, SELECT, LatentT5System

PARAGRAPHS = (1, 3, 10)
LATENTS = (4, 8, 16, 32)
OWN = 3
"""Paragraphs of the contexts of which fewer latents are used."""


@dataclass(frozen=True, slots=True)
class LatentPoint:
    """What was answered under one setting; shares are of exact matches.

    Attributes:
        name: Of the system.
        paragraphs: Of each context.
        latents: That were used.
        shares: With the gate `open`, `closed`, and open on another question's context (`other`),
            each with its 95 % interval; none where it was not asked.
        support_mass: Mean share of the latents' attention on supporting sentences.
    """

    name: str
    paragraphs: int
    latents: int
    shares: Mapping[str, Interval]
    support_mass: float


def worlds(n: int, seed: int, paragraphs: int) -> list[Example]:
    """Return questions about worlds that share no name and no sentence with training."""
    return load_examples(f"world:split=dev,n={n},seed={seed},paragraphs={paragraphs}")


def curves(
    systems: Mapping[str, LatentT5System],
    *,
    n: int,
    seed: int = 1,
    paragraphs: Sequence[int] = PARAGRAPHS,
    latents: Sequence[int] = LATENTS,
) -> Iterator[LatentPoint]:
    """Yield a point for each number of paragraphs (all latents used), then for each of latents.

    Args:
        systems: By name.
        n: Questions of each point.
        seed: Of the worlds; the trainings' evaluations had 0.
        paragraphs: How many a context has.
        latents: How many are used, of contexts of three paragraphs.
    """
    for count in paragraphs:
        for name, system in systems.items():
            yield point(name, system, worlds(n, seed, count), count)
    for used in latents:
        for name, system in systems.items():
            few = LatentT5System(system.config.but(num_latents=used), system.loaded)
            yield point(name, few, worlds(n, seed, OWN), OWN, is_misled=False)


def point(
    name: str,
    system: LatentT5System,
    examples: Sequence[Example],
    paragraphs: int,
    *,
    is_misled: bool = True,
) -> LatentPoint:
    """Return what a system answers to questions, with the gate closed, and misled if wanted."""
    controls, used = Controls(examples), 0
    found: dict[str, list[bool]] = {"open": [], "closed": [], "other": []}
    masses: list[float] = []
    for example in examples:
        progress.check()
        for step in Episode(system, example).run().steps:
            if step.kind == SELECT:
                used, mass = int(step.measures["latents"]), mass_on(step, example.gold)
                masses += [] if mass is None else [mass]
            elif step.kind in (CLOSED, StepKind.ANSWER):
                kind = "closed" if step.kind == CLOSED else "open"
                found[kind].append(is_right(step.text, example))
        if is_misled and (other := controls.of(example).task):
            misled = Episode(system.misled_by(other), example).run()
            found["other"].append(is_right(misled.prediction, example))
    return LatentPoint(
        name,
        paragraphs,
        used,
        {kind: share_interval([*map(float, rights)]) for kind, rights in found.items() if rights},
        sum(masses) / max(1, len(masses)),
    )


def is_right(answer: str, example: Example) -> bool:
    """Return whether an answer is an exact match."""
    return score_answer(answer, example.gold.answers).em == 1
