"""One question under many LoRA configs: what each does to the gold answer, and to all else."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pmi_kernel.asking import mean_kl, score_gold, unrelated
from pmi_kernel.card import ReportCard, episode_card
from pmi_kernel.config import SystemConfig
from pmi_kernel.engines.base import Engine, Lesson
from pmi_kernel.episode import Episode
from pmi_kernel.memory.lora import LoraConfig
from pmi_kernel.probes import Prober
from pmi_kernel.prompts import MAX_SHOTS, answer_prompt
from pmi_kernel.recipes import Recipe
from pmi_kernel.types import Example, Task


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """What one LoRA config did.

    Attributes:
        lora: How the memory was trained.
        loss_nats: Training loss before the last step, nats per token.
        before_nats: Gold answer's log-probability under the base, asked the question alone.
        after_nats: The same under the memory.
        drift_kl_nats: Mean KL(base || memory) on unrelated prompts, nats per token.
        train_s: Seconds of training.
        norms: Frobenius norm of each layer's change.
    """

    lora: LoraConfig
    loss_nats: float
    before_nats: float
    after_nats: float
    drift_kl_nats: float
    train_s: float
    norms: Mapping[str, float]


def sweep(
    engine: Engine, example: Example, snippet: str, loras: Iterable[LoraConfig]
) -> Generator[SweepPoint, None, None]:
    """Yield a point for each LoRA config; each memory is taken out again before the next.

    Raises:
        EngineError: A training failed; nothing stays attached.
    """
    prompt = answer_prompt(example.task.question, None, shots=MAX_SHOTS)
    gold = example.gold.answers[0]
    before = score_gold(engine, prompt, gold).total_nats
    reference = unrelated(engine)
    for lora in loras:
        trained = engine.train((Lesson(snippet),), lora)
        adapter = engine.attach(trained.weights)
        try:
            yield SweepPoint(
                lora=lora,
                loss_nats=trained.losses_nats[-1],
                before_nats=before,
                after_nats=score_gold(engine, prompt, gold, adapter).total_nats,
                drift_kl_nats=mean_kl(reference, unrelated(engine, adapter)),
                train_s=trained.seconds_s,
                norms=trained.weights.norms(),
            )
        finally:
            engine.detach(adapter)


def compare_recipes(
    config: SystemConfig,
    engine: Engine,
    example: Example,
    recipes: Iterable[Recipe],
    *,
    control: Task | None = None,
) -> Iterator[tuple[Recipe, ReportCard]]:
    """Yield the report card of one episode under each recipe; nothing else is different.

    Args:
        config: The system's settings; `mem_recipe` is what varies.
        engine: Serves and trains.
        example: The question.
        recipes: What to train on.
        control: The question that the wrong passage is of; no control where None.

    Raises:
        EngineError: As `Episode.step`.
        ValueError: Nothing was injected (an empty snippet, or a system that does not inject).
    """
    for recipe in recipes:
        system = config.but(mem_recipe=recipe).build(engine)
        prober = Prober(engine, example, system=system, control=control)
        card = episode_card(Episode(system, example, observer=prober).run(), example.gold)
        if card is None:
            raise ValueError(f"nothing was injected for {example.task.id!r}")
        yield recipe, card
