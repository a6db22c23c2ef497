"""Facts that changed: an older and a newer statement, and questions for either."""

from dataclasses import dataclass
from itertools import chain
from random import Random

from pmi_kernel.data.worlds.asked import Asked
from pmi_kernel.data.worlds.lazy import LazyWorld
from pmi_kernel.data.worlds.world import Entity, year_of


@dataclass(frozen=True, slots=True)
class Change:
    """A relation whose value changes.

    Attributes:
        relation: Its name; `wordings` has sentences for `<relation>_before` and `<relation>_now`.
        current: Asks for its value now.
        previous: Asks for its value before the one given.
    """

    relation: str
    current: str
    previous: str


_CHANGES = (
    Change("mayor", "Who is the mayor of {} now?", "Who was the mayor of {} before {}?"),
    Change("director", "Who is the director of {} now?", "Who was the director of {} before {}?"),
    Change(
        "seat",
        "In which town does {} have its headquarters now?",
        "In which town did {} have its headquarters before it moved to {}?",
    ),
    Change(
        "publisher",
        "Which company publishes {} now?",
        "Which company published {} before {}?",
    ),
)
_NEAR = 3
_EARLIEST = 1900
"""Year after which mayors take office."""


def ask_update(world: LazyWorld, random: Random, number: int) -> Asked:
    """Return the question with a number: of every four, three for what holds now, one for before.

    Half of the newer statements stand in the older one's paragraph, half in a notice of their own.
    A question for what holds now has the newer statement as its supporting fact; one for before has
    both, the newer first.

    Args:
        world: Where its facts hold.
        random: Chooses where the newer statement stands, and its year.
        number: From 0.
    """
    turn, place = divmod(number, len(_CHANGES))
    change = _CHANGES[place]
    entity = _changed(world, random, change.relation)
    before, now = f"{change.relation}_before", f"{change.relation}_now"
    newer, older = entity, []
    if random.random() < 0.5:
        since = entity.facts.pop("since")
        told = {now: entity.facts.pop(now), "since": since}
        newer = Entity(entity.kind, entity.name, told, f"{since} notice")
        older = [entity]
    near = chain(older, (_changed(world, random, change.relation) for _ in range(_NEAR)))
    current, previous = newer.values()[now], entity.values()[before]
    if (turn + place) % 4 == 3:
        question = change.previous.format(entity.name, current)
        evidence = ((newer, now), (entity, before))
        return Asked(question, previous, evidence, near, level="previous")
    question = change.current.format(entity.name)
    return Asked(question, current, ((newer, now),), near, level="current")


def _changed(world: LazyWorld, random: Random, relation: str) -> Entity:
    """Return an entity with an older and a newer value of a relation."""
    values: list[Entity | str | int]
    match relation:
        case "mayor":
            entity = world.complete(world.town())
            values = [str(entity.facts.pop("mayor")), world.person_name()]
        case "director":
            entity = world.company(founder=_early(world))
            values = [world.person_name(), world.person_name()]
        case "seat":
            entity = world.company(founder=_early(world))
            values = [entity.facts.pop("seat"), world.town()]
        case _:
            entity = world.work(author=_early(world))
            values = [world.company(is_publisher=True), world.company(is_publisher=True)]
    begun = entity.facts.get("founded", entity.facts.get("year", _EARLIEST))
    older = int(str(begun)) + random.randint(1, 30)
    newer = older + random.randint(3, 40)
    entity.facts |= {f"{relation}_before": values[0], f"{relation}_now": values[1]}
    entity.facts |= {"from": older, "since": newer}
    return entity


def _early(world: LazyWorld) -> Entity:
    """Return a person of the 19th century, so that nothing changes in the future."""
    person = world.person()
    person.facts["birth_year"] = 1790 + year_of(person, "birth_year") % 90
    return person
