"""Questions over fictional worlds at any scale: hops, distractors, wording, conflicts, updates."""

from itertools import chain, count
from random import Random

from pmi_kernel.core.task import Example
from pmi_kernel.data.worlds.asked import Asked
from pmi_kernel.data.worlds.conflicts import ask_conflict
from pmi_kernel.data.worlds.facts import ask_fact
from pmi_kernel.data.worlds.lazy import LazyWorld
from pmi_kernel.data.worlds.render import render
from pmi_kernel.data.worlds.settings import WorldSettings
from pmi_kernel.data.worlds.updates import ask_update
from pmi_kernel.data.worlds.world import Entity

__all__ = ["WorldSettings", "generate"]


def generate(settings: WorldSettings) -> list[Example]:
    """Return the examples of the settings.

    Question and answer with a number depend on kind, hops and seed alone: the same questions can be
    asked among more paragraphs, or told in other words. `type` is `1-hop` to `4-hop`, `conflict` or
    `update`; `level` is the relation asked for, and `current` or `previous` of an update. The
    answer stands in one sentence of the context, that of the last supporting fact.
    """
    return [_example(settings, number) for number in range(settings.n)]


def _example(settings: WorldSettings, number: int) -> Example:
    seed, key = settings.seed, f"{settings.kind}/{settings.hops}/{settings.seed}/{number}"
    random = Random(key)
    world = LazyWorld(random)
    match settings.kind:
        case "facts":
            type_ = f"{settings.hops}-hop"
            asked = ask_fact(world, settings.hops, seed, number)
        case "conflicts":
            type_ = "conflict"
            asked = ask_conflict(random, seed, number)
        case "updates":
            type_ = "update"
            asked = ask_update(world, random, number)
    entities = _context(world, asked, settings.paragraphs)
    words = Random(f"{key}/{settings.mentions}")
    rendered = {e: render(e, words, settings.mentions, answer=asked.answer) for e in entities}
    words.shuffle(entities)
    return asked.example(
        _id(settings, number),
        {entity: rendered[entity] for entity in entities},
        type=type_,
        level=asked.level,
    )


def _context(world: LazyWorld, asked: Asked, paragraphs: int) -> list[Entity]:
    """The gold entities, then those near to them, then any; none of them gives the answer away."""
    entities = asked.gold
    others = (world.complete(world.anything()) for _ in count())
    for entity in chain(asked.near, others):
        if len(entities) == paragraphs:
            break
        if not _holds(entity, asked.answer):
            entities.append(entity)
    return entities


def _holds(entity: Entity, text: str) -> bool:
    return text in (entity.name, *entity.values().values())


def _id(settings: WorldSettings, number: int) -> str:
    kind = f"h{settings.hops}" if settings.kind == "facts" else settings.kind
    style = "" if settings.mentions == "named" else f"-{settings.mentions}"
    return f"world-{kind}-p{settings.paragraphs}{style}-s{settings.seed}-{number:05d}"
