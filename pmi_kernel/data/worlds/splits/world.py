"""Entities of a split's worlds, with the facts that a paragraph tells, drawn as they are needed."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pmi_kernel.data.worlds.splits.company import COMPANY
from pmi_kernel.data.worlds.splits.names import Name, Names, Pronoun
from pmi_kernel.data.worlds.splits.person import PERSON
from pmi_kernel.data.worlds.splits.relations import Kind, Relation
from pmi_kernel.data.worlds.splits.town import TOWN
from pmi_kernel.data.worlds.splits.work import WORK
from pmi_kernel.data.worlds.world import Entity

RELATIONS = (*PERSON, *TOWN, *WORK, *COMPANY)
_YEARS: dict[Kind, tuple[int, int]] = {
    "person": (1700, 1960),
    "town": (950, 1500),
    "work": (1740, 1990),
    "company": (1740, 1960),
}
_TOLD: dict[bool, dict[Kind, list[Relation]]] = {
    has_held_out: {
        kind: [r for r in RELATIONS if r.subject == kind and r.is_held_out <= has_held_out]
        for kind in _YEARS
    }
    for has_held_out in (False, True)
}
_MONTHS = (
    "January February March April May June July August September October November December"
).split()
_NUM_FACTS = (3, 6)


@dataclass(slots=True, eq=False)
class Subject(Entity):
    """An entity that a paragraph can be about.

    Attributes:
        year: Of its birth, first mention, publication or founding; what is told of it agrees.
        root: The part of its name that others may share.
        pronoun: Stands for it.
        is_publisher: Whether a company makes what is read.
        reached_by: The relation that leads to it. It does not have this one itself: what "married
            to" or "twinned with" says of the one holds for the other.
    """

    kind: Kind
    year: int = 0
    root: str = ""
    pronoun: Pronoun = "it"
    is_publisher: bool = False
    reached_by: str = ""


class World:
    """Makes subjects whose names do not collide.

    Args:
        random: Gives every draw.
        names: The split's.
        has_held_out: Whether facts of held-out relations are told too.
    """

    def __init__(self, random: Random, names: Names, *, has_held_out: bool) -> None:
        self._random = random
        self._names = names
        self._taken: set[str] = set()
        self._relations = _TOLD[has_held_out]

    def subject(
        self,
        kind: Kind,
        *,
        year: int | None = None,
        root: str = "",
        is_publisher: bool = False,
        reached_by: str = "",
    ) -> Subject:
        """Return a subject without facts; what is not given is drawn."""
        random, names = self._random, self._names

        def make() -> Name:
            match kind:
                case "person":
                    return names.person(random, root)
                case "town":
                    return names.word(random, "town", root)
                case "work":
                    return names.work(random, root)
                case "company":
                    return names.company(random, root, is_publisher=is_publisher)

        has_own_root = not root and kind in ("person", "company")
        name = self._new(make, has_own_root=has_own_root)
        return Subject(
            kind,
            name.text,
            year=random.randint(*_YEARS[kind]) if year is None else year,
            root=name.root,
            pronoun=name.pronoun,
            is_publisher=is_publisher,
            reached_by=reached_by,
        )

    def anything(self) -> Subject:
        """Return a subject of any kind, with facts."""
        return self.tell(self.subject(self._random.choice(tuple(_YEARS))))

    def like(self, subject: Subject, relation: str) -> Subject:
        """Return another subject, with facts, that shares a part of the name and has a relation."""
        other = self.subject(subject.kind, root=subject.root, is_publisher=subject.is_publisher)
        return self.tell(other, also=relation)

    def tell(self, subject: Subject, *, also: str = "", without: str = "") -> Subject:
        """Draw facts until a subject has three to six; return it.

        Args:
            subject: Keeps the facts that it has.
            also: A relation that it has then.
            without: One that it has not; taken away if need be.
        """
        subject.facts.pop(without, None)
        options = [
            relation
            for relation in self._relations[subject.kind]
            if relation.name not in subject.facts
            and relation.name not in (also, without, subject.reached_by)
        ]
        if also:
            self.value(subject, RELATION[also])
        num_more = self._random.randint(*_NUM_FACTS) - len(subject.facts)
        for relation in self._random.sample(options, max(num_more, 0)):
            self.value(subject, relation)
        return subject

    def value(self, subject: Subject, relation: Relation) -> Subject | str:
        """Return the value of a subject's relation, drawn if it is not yet known."""
        if relation.name not in subject.facts:
            subject.facts[relation.name] = self._draw(subject, relation)
        value = subject.facts[relation.name]
        assert isinstance(value, Subject | str)
        return value

    def _draw(self, subject: Subject, relation: Relation) -> Subject | str:
        random, names = self._random, self._names
        year = subject.year + random.randint(*relation.between)
        match relation.value:
            case "person" | "company" as kind:
                return self.subject(
                    kind,
                    year=None if subject.kind == "town" else year,
                    is_publisher=relation.name == "publisher" or subject.is_publisher,
                    reached_by=relation.name,
                )
            case "town":
                return self.subject("town", reached_by=relation.name)
            case "name":
                return self._new(lambda: names.person(random), has_own_root=True).text
            case "newspaper":
                return self._new(lambda: names.newspaper(random)).text
            case "region" | "river" as word:
                return self._new(lambda: names.word(random, word)).text
            case "date":
                return f"{random.randint(1, 28)} {random.choice(_MONTHS)} {year}"
            case "year":
                return str(year)
            case "number":
                return str(random.randint(*relation.between))
            case "goods" if subject.is_publisher:
                return random.choice(names.lists["publications"])
            case closed:
                return random.choice(names.lists[closed])

    def _new(self, make: Callable[[], Name], *, has_own_root: bool = False) -> Name:
        """A name that this world has not yet, and a root that no other has."""
        while True:
            name = make()
            words = {name.text.removeprefix("The "), *([name.root] if has_own_root else [])}
            if self._taken.isdisjoint(words):
                self._taken |= words
                return name


RELATION = {relation.name: relation for relation in RELATIONS}
