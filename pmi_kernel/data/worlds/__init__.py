"""Questions over fictional worlds at any scale: hops, distractors, wording, conflicts, updates."""

from collections.abc import Iterator, Sequence
from itertools import chain, count
from random import Random
from typing import overload

from pmi_kernel.core.task import Example
from pmi_kernel.data.worlds.asked import Asked
from pmi_kernel.data.worlds.conflicts import ask_conflict
from pmi_kernel.data.worlds.facts import ask_fact
from pmi_kernel.data.worlds.lazy import LazyWorld
from pmi_kernel.data.worlds.render import render
from pmi_kernel.data.worlds.settings import WorldSettings
from pmi_kernel.data.worlds.splits import make_example, make_question
from pmi_kernel.data.worlds.updates import ask_update
from pmi_kernel.data.worlds.world import Entity

__all__ = ["WorldSettings", "WorldStream", "generate"]


class WorldStream(Sequence[Example]):
    """The examples of the settings, each made when it is asked for and then forgotten.

    Example and number belong together whatever was asked for before. A slice is a stream too.

    Args:
        settings: What is made.
        numbers: Of the examples, in order; all by default.
    """

    def __init__(self, settings: WorldSettings, numbers: range | None = None) -> None:
        self.settings = settings
        self._numbers = range(settings.n) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "WorldStream": ...
    def __getitem__(self, index: int | slice) -> "Example | WorldStream":
        if isinstance(index, slice):
            return WorldStream(self.settings, self._numbers[index])
        return _example(self.settings, self._numbers[index])

    def ids(self) -> list[str]:
        """Return the id of each example, without making any."""
        return [_id(self.settings, number) for number in self._numbers]

    def questions(self) -> Iterator[tuple[str, str]]:
        """Yield (id, question) of each example, in less time than the examples take."""
        for number in self._numbers:
            yield _id(self.settings, number), _question(self.settings, number)


def generate(settings: WorldSettings) -> list[Example]:
    """Return the examples of the settings.

    Question and answer with a number depend on kind, hops and seed alone: the same questions can be
    asked among more paragraphs, or told in other words. `type` is `1-hop` to `4-hop`, `conflict` or
    `update`; `level` is the relation asked for, and `current` or `previous` of an update. The
    answer stands in one sentence of the context, that of the last supporting fact.

    With a split, they depend on split and relations too, and the question's words on wordings.
    Those whose context lacks the answer have a type that ends in `-unanswerable`.
    """
    return list(WorldStream(settings))


def _example(settings: WorldSettings, number: int) -> Example:
    if settings.split:
        return make_example(settings, number, _id(settings, number))
    world, asked, type_ = _asked(settings, number)
    entities = _context(world, asked, settings.paragraphs)
    words = Random(f"{_key(settings, number)}/{settings.mentions}")
    rendered = {e: render(e, words, settings.mentions, answer=asked.answer) for e in entities}
    words.shuffle(entities)
    return asked.example(
        _id(settings, number),
        {entity: rendered[entity] for entity in entities},
        type=type_,
        level=asked.level,
    )


def _question(settings: WorldSettings, number: int) -> str:
    if settings.split:
        return make_question(settings, number)
    return _asked(settings, number)[1].question


def _key(settings: WorldSettings, number: int) -> str:
    return f"{settings.kind}/{settings.hops}/{settings.seed}/{number}"


def _asked(settings: WorldSettings, number: int) -> tuple[LazyWorld, Asked, str]:
    """The world of a question, the question and its type."""
    seed, random = settings.seed, Random(_key(settings, number))
    world = LazyWorld(random)
    match settings.kind:
        case "facts":
            return world, ask_fact(world, settings.hops, seed, number), f"{settings.hops}-hop"
        case "conflicts":
            return world, ask_conflict(random, seed, number), "conflict"
        case "updates":
            return world, ask_update(world, random, number), "update"


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
    split = f"{settings.split}-" if settings.split else ""
    style = "" if settings.mentions == "named" else f"-{settings.mentions}"
    for name in ("wordings", "relations"):
        style += f"-new_{name}" if getattr(settings, name) == "held_out" else ""
    style += f"-u{settings.unanswerable}" if settings.unanswerable else ""
    style += f"-a{settings.asked}" if settings.asked > 1 else ""
    return f"world-{split}{kind}-p{settings.paragraphs}{style}-s{settings.seed}-{number:05d}"
