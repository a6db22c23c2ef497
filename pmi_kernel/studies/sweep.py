"""One question under many LoRA configs: what each does to the gold answer, and to all else."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.system import Question, Reply
from pmi_kernel.core.task import Example, Task
from pmi_kernel.engines.base import Engine, Lesson
from pmi_kernel.engines.injected import injected
from pmi_kernel.episodes.asking import UNRELATED, mean_kl
from pmi_kernel.episodes.card import ReportCard, episode_card
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.episodes.probes import Prober
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.systems import open_system
from pmi_kernel.systems.chat import ChatSystem
from pmi_kernel.systems.pmi.recipes import Recipe


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
    system: ChatSystem[Any], example: Example, snippet: str, loras: Iterable[LoraConfig]
) -> Generator[SweepPoint, None, None]:
    """Yield a point for each LoRA config; each memory is taken out again before the next.

    Raises:
        EngineError: A training failed; nothing stays attached.
    """
    asked = [Question.of(example)]
    before = _gold_nats(system.ask(asked))
    reference = system.next_tokens(UNRELATED)
    for lora in loras:
        trained = system.engine.train((Lesson(snippet),), lora)
        with injected(system.engine, trained.weights) as memory:
            state = memory.adapter
            yield SweepPoint(
                lora=lora,
                loss_nats=trained.losses_nats[-1],
                before_nats=before,
                after_nats=_gold_nats(system.ask(asked, state)),
                drift_kl_nats=mean_kl(reference, system.next_tokens(UNRELATED, state)),
                train_s=trained.seconds_s,
                norms=trained.weights.norms(),
            )


def _gold_nats(replies: Sequence[Reply]) -> float:
    (reply,) = replies
    assert reply.gold is not None
    return reply.gold.total_nats


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
        system = open_system(config.but(mem_recipe=recipe), engine)
        prober = Prober(system, example, control=control)
        card = episode_card(Episode(system, example, observer=prober).run(), example.gold)
        if card is None:
            raise ValueError(f"nothing was injected for {example.task.id!r}")
        yield recipe, card
