"""Questions over fictional worlds, in HotpotQA's terms: bridge, comparison, yes/no; ten paragraphs.

Nothing in them exists, so a right answer comes from the context or from injected memory, but for
chance: a comparison has two candidates, and yes/no questions are balanced.
"""

from collections.abc import Callable
from functools import partial
from random import Random

from pmi_kernel.core.task import Example
from pmi_kernel.data.worlds.asked import Asked
from pmi_kernel.data.worlds.render import render
from pmi_kernel.data.worlds.world import Entity, World

_PARAGRAPHS = 10


def synthesize(n: int, seed: int) -> list[Example]:
    """Return `n` examples: of every ten, eight bridge, one comparison, one yes/no.

    HotpotQA's own shares are about these. In three bridge questions of four (level `easy`) the
    second paragraph mentions the first one's entity too, as encyclopedias often do; in the others
    (`medium`) only the first paragraph leads to the second.

    The same (n, seed) gives the same examples anywhere, and the first k of n are those of k.

    Raises:
        ValueError: `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n is {n}; it must not be negative")
    return [_example(number, seed) for number in range(n)]


def _example(number: int, seed: int) -> Example:
    random = Random(f"{seed}/{number}")
    world = World(random)
    round_, place = divmod(number, 10)
    is_bridge = place not in (4, 9)
    if is_bridge:
        kinds, turn = _BRIDGES, round_ * 8 + place - (place > 4)
    else:
        kinds, turn = (_COMPARISONS if place == 4 else _YES_NO), round_
    asked = kinds[turn % len(kinds)](world)
    is_medium = is_bridge and turn % 4 == 3
    if is_bridge and not is_medium:
        first, second = (entity for entity, _ in asked.evidence)
        second.facts["known_for"] = _MENTIONS[asked.evidence[0][1]].format(
            first=first.name, second=second.name
        )
    entities = [*asked.gold, *asked.near]
    while len(entities) < _PARAGRAPHS:
        entities.append(world.anything())
    random.shuffle(entities)
    return asked.example(
        f"fictional-{seed}-{number:05d}",
        {entity: render(entity, random) for entity in entities},
        type="bridge" if is_bridge else "comparison",
        level="medium" if is_medium else "easy",
    )


def _value(entity: Entity, relation: str) -> Entity:
    value = entity.facts[relation]
    assert isinstance(value, Entity)
    return value


def _surname(person: Entity) -> str:
    return person.name.split()[-1]


def _author_birth_town(world: World) -> Asked:
    work = world.work()
    author = _value(work, "author")
    town = _value(author, "born_in")
    return Asked(
        f"In which town was the author of {work.name} born?",
        town.name,
        ((work, "author"), (author, "born_in")),
        (world.person(surname=_surname(author)), world.work(form=str(work.facts["form"])), town),
    )


def _author_birth_year(world: World) -> Asked:
    work = world.work()
    author = _value(work, "author")
    return Asked(
        f"In what year was the author of {work.name} born?",
        str(author.facts["birth_year"]),
        ((work, "author"), (author, "birth_year")),
        (world.person(surname=_surname(author)), world.work(form=str(work.facts["form"]))),
    )


def _founder_birth_town(world: World) -> Asked:
    founder = world.person(job="company founder")
    company = world.company(founder=founder)
    return Asked(
        f"In which town was the founder of {company.name} born?",
        _value(founder, "born_in").name,
        ((company, "founder"), (founder, "born_in")),
        (world.person(surname=_surname(founder)), world.company(), _value(company, "seat")),
    )


def _founder_job(world: World) -> Asked:
    company = world.company()
    founder = _value(company, "founder")
    return Asked(
        f"What was the profession of the founder of {company.name}?",
        str(founder.facts["job"]),
        ((company, "founder"), (founder, "job")),
        (world.person(surname=_surname(founder)), world.company()),
    )


def _seat_mayor(world: World) -> Asked:
    company = world.company()
    town = _value(company, "seat")
    return Asked(
        f"Who is the mayor of the town where {company.name} has its headquarters?",
        str(town.facts["mayor"]),
        ((company, "seat"), (town, "mayor")),
        (_value(company, "founder"), world.company(), world.town()),
    )


def _birth_town_river(world: World) -> Asked:
    person = world.person()
    town = _value(person, "born_in")
    return Asked(
        f"Which river flows through the town where {person.name} was born?",
        str(town.facts["river"]),
        ((person, "born_in"), (town, "river")),
        (world.person(surname=_surname(person)), world.town()),
    )


def _born_first(world: World) -> Asked:
    first, second = world.person(), world.person()
    while first.facts["birth_year"] == second.facts["birth_year"]:
        second = world.person()
    older = min((first, second), key=lambda person: int(str(person.facts["birth_year"])))
    return Asked(
        f"Who was born first, {first.name} or {second.name}?",
        older.name,
        ((first, "birth_year"), (second, "birth_year")),
        (world.person(surname=_surname(first)), world.person(surname=_surname(second))),
    )


def _more_inhabitants(world: World) -> Asked:
    first, second = world.town(), world.town()
    while first.facts["inhabitants"] == second.facts["inhabitants"]:
        second = world.town()
    larger = max((first, second), key=lambda town: int(str(town.facts["inhabitants"])))
    return Asked(
        f"Which town has more inhabitants, {first.name} or {second.name}?",
        larger.name,
        ((first, "inhabitants"), (second, "inhabitants")),
        (world.person(born_in=first), world.company(seat=second)),
    )


def _founded_first(world: World) -> Asked:
    first, second = world.company(), world.company()
    while first.facts["founded"] == second.facts["founded"]:
        second = world.company()
    older = min((first, second), key=lambda company: int(str(company.facts["founded"])))
    return Asked(
        f"Which company was founded first, {first.name} or {second.name}?",
        older.name,
        ((first, "founded"), (second, "founded")),
        (_value(first, "founder"), _value(second, "founder")),
    )


def _same_birth_town(world: World, *, is_same: bool) -> Asked:
    town = world.town()
    first = world.person(born_in=town)
    second = world.person(born_in=town if is_same else None)
    return Asked(
        f"Were {first.name} and {second.name} born in the same town?",
        "yes" if is_same else "no",
        ((first, "born_in"), (second, "born_in")),
        (town, world.person(surname=_surname(first))),
    )


def _same_author(world: World, *, is_same: bool) -> Asked:
    author = world.person()
    first = world.work(author=author)
    second = world.work(author=author if is_same else None, form=str(first.facts["form"]))
    return Asked(
        f"Are {first.name} and {second.name} by the same person?",
        "yes" if is_same else "no",
        ((first, "author"), (second, "author")),
        (author, world.work(form=str(first.facts["form"]))),
    )


_Kind = Callable[[World], Asked]
_BRIDGES: tuple[_Kind, ...] = (
    _author_birth_town,
    _seat_mayor,
    _founder_birth_town,
    _birth_town_river,
    _founder_job,
    _author_birth_year,
)
_COMPARISONS: tuple[_Kind, ...] = (_born_first, _more_inhabitants, _founded_first)
_YES_NO: tuple[_Kind, ...] = (
    partial(_same_birth_town, is_same=True),
    partial(_same_author, is_same=False),
    partial(_same_birth_town, is_same=False),
    partial(_same_author, is_same=True),
)
_MENTIONS = {
    "author": "{second} is the author of {first}.",
    "founder": "{second} is the founder of {first}.",
    "seat": "{first} has its headquarters in {second}.",
    "born_in": "{first} was born in {second}.",
}
"""How the second paragraph of a bridge mentions the first one's entity, by the relation between."""
