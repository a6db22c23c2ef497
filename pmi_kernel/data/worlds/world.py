"""Small fictional worlds: people, towns, works and companies with facts that hold nowhere else.

A world is entities with facts; sentences are made from facts afterwards, so that questions, facts
and wording can each be varied alone. Every draw comes from the world's own generator.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from pmi_kernel.data.worlds import vocab

_MOST_MISSES = 20


@dataclass(slots=True, eq=False)
class Entity:
    """A thing of the world.

    Attributes:
        kind: What it is; a key of `wordings.SENTENCES`.
        name: Its name, unique in the world.
        facts: Relation -> value. `known_for`, a whole sentence, is optional.
        label: Tells apart the titles of two paragraphs about one thing.
    """

    kind: str
    name: str
    facts: dict[str, "Entity | str | int"] = field(default_factory=dict)
    label: str = ""

    @property
    def title(self) -> str:
        """Title of its paragraph."""
        return f"{self.name} ({self.label})" if self.label else self.name

    def values(self) -> dict[str, str]:
        """Return its facts as text."""
        return {
            relation: value.name if isinstance(value, Entity) else str(value)
            for relation, value in self.facts.items()
        }


class World:
    """Makes entities whose names and facts do not collide.

    Args:
        random: Gives every draw.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._words: set[str] = set()

    def town(self) -> Entity:
        """Return a town with its region, river, number of inhabitants and mayor's name."""
        town = Entity("town", self._word(vocab.TOWN_ENDS))
        self._fill_town(town)
        return town

    def person(
        self,
        *,
        job: str | None = None,
        born_in: Entity | None = None,
        surname: str | None = None,
    ) -> Entity:
        """Return a person with job, birth town and year."""
        person = Entity("person", self.person_name(surname))
        person.facts["job"] = job or self._random.choice(vocab.JOBS)
        person.facts["born_in"] = born_in or self.town()
        person.facts["birth_year"] = self._random.randrange(1790, 1960)
        return person

    def work(self, *, author: Entity | None = None, form: str | None = None) -> Entity:
        """Return a work with its form, author and year."""
        words = (self._random.choice(vocab.ADJECTIVES), self._random.choice(vocab.NOUNS))
        work = Entity("work", f"The {' '.join(words)} of {self._word(vocab.TOWN_ENDS)}")
        work.facts["form"] = form or self._random.choice(sorted(vocab.FORMS))
        author = author or self.person(job="writer and author")
        work.facts["author"] = author
        work.facts["year"] = self._career_year(author)
        return work

    def company(
        self,
        *,
        founder: Entity | None = None,
        seat: Entity | None = None,
        is_publisher: bool = False,
    ) -> Entity:
        """Return a company with its product, founder, seat and year."""
        ends = vocab.PUBLISHER_ENDS if is_publisher else vocab.COMPANY_ENDS
        products = vocab.PUBLISHED if is_publisher else vocab.PRODUCTS
        company = Entity("company", f"{self._word(vocab.SURNAME_ENDS)} {self._random.choice(ends)}")
        company.facts["product"] = self._random.choice(products)
        founder = founder or self.person()
        company.facts["founder"] = founder
        company.facts["seat"] = seat or self.town()
        company.facts["founded"] = self._career_year(founder)
        return company

    def anything(self) -> Entity:
        """Return an entity of any kind."""
        return self._random.choice([self.person, self.town, self.work, self.company])()

    def person_name(self, surname: str | None = None) -> str:
        """Return a person's name that is new to this world."""
        surname = surname or self._word(vocab.SURNAME_ENDS)
        while (name := f"{self._random.choice(vocab.FIRST_NAMES)} {surname}") in self._words:
            pass
        self._words.add(name)
        return name

    def _fill_town(self, town: Entity) -> None:
        town.facts["region"] = self._word(vocab.REGION_ENDS)
        town.facts["river"] = self._word(vocab.RIVER_ENDS)
        town.facts["inhabitants"] = self._random.randrange(2_100, 98_000, 100)
        town.facts["mayor"] = self.person_name()

    def _career_year(self, person: Entity) -> int:
        """A year in which the person is 22 to 60."""
        return year_of(person, "birth_year") + self._random.randrange(22, 61)

    def _word(self, ends: Sequence[str]) -> str:
        """A name that is new to this world; of two stems once most of one are taken."""
        random = self._random
        misses = 0
        while True:
            stem = random.choice(vocab.STEMS)
            if misses >= _MOST_MISSES:
                stem += random.choice(vocab.STEMS).lower()
            word = stem + random.choice(ends)
            if word not in self._words:
                self._words.add(word)
                return word
            misses += 1


def year_of(entity: Entity, relation: str) -> int:
    """Return the value of a relation that is a year."""
    return int(str(entity.facts[relation]))
