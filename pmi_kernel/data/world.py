"""Small fictional worlds: people, towns, works and companies with facts that hold nowhere else.

A world is entities with facts; sentences are made from facts afterwards, so that questions, facts
and wording can each be varied alone. Every draw comes from the world's own generator.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from pmi_kernel.types import Paragraph

_FIRST_NAMES = [
    "Agnes",
    "Albert",
    "Alice",
    "Arthur",
    "Clara",
    "Daniel",
    "Edith",
    "Edward",
    "Emma",
    "Felix",
    "Flora",
    "Frank",
    "George",
    "Grace",
    "Henry",
    "Ida",
    "Jacob",
    "James",
    "Laura",
    "Leon",
    "Lucy",
    "Martin",
    "Mary",
    "Nora",
    "Oscar",
    "Paul",
    "Peter",
    "Rose",
    "Ruth",
    "Simon",
    "Thomas",
    "Walter",
]
_STEMS = [
    "Amber",
    "Birch",
    "Bramble",
    "Brindle",
    "Candle",
    "Cinder",
    "Clover",
    "Copper",
    "Dapple",
    "Ember",
    "Fennel",
    "Flint",
    "Garnet",
    "Ginger",
    "Hazel",
    "Heron",
    "Indigo",
    "Jasper",
    "Juniper",
    "Kestrel",
    "Lark",
    "Linden",
    "Marble",
    "Marrow",
    "Meadow",
    "Nettle",
    "Ochre",
    "Onyx",
    "Otter",
    "Pebble",
    "Pepper",
    "Pewter",
    "Plover",
    "Quartz",
    "Quill",
    "Raven",
    "Reed",
    "Saffron",
    "Sable",
    "Silver",
    "Sorrel",
    "Sparrow",
    "Tallow",
    "Tansy",
    "Thistle",
    "Thorn",
    "Timber",
    "Umber",
    "Velvet",
    "Walnut",
    "Willow",
    "Winter",
    "Yarrow",
]
_SURNAME_ENDS = ["worth", "well", "man", "shaw", "ley", "croft"]
_TOWN_ENDS = ["gate", "barrow", "fell", "mere", "holm", "stead"]
_REGION_ENDS = ["shire", "land", "mark"]
_RIVER_ENDS = ["water", "brook", "stream"]
_COMPANY_ENDS = ["Works", "Lines", "Instruments", "Foundry", "Textiles", "Laboratories"]
_ADJECTIVES = [
    "Bitter",
    "Broken",
    "Crooked",
    "Distant",
    "Frozen",
    "Gilded",
    "Hollow",
    "Ivory",
    "Silent",
    "Velvet",
]
_NOUNS = [
    "Anchor",
    "Bell",
    "Compass",
    "Garden",
    "Harvest",
    "Lantern",
    "Meridian",
    "Orchard",
    "Saddle",
    "Window",
]
_WORKS = {"novel": "written", "play": "written", "poem": "composed", "ballad": "composed"}
_JOBS = [
    "botanist",
    "baker",
    "judge",
    "violinist",
    "surgeon",
    "cartographer",
    "chemist",
    "journalist",
]
_PRODUCTS = ["clocks", "bicycles", "telescopes", "carpets", "pianos", "lamps", "engines", "gloves"]


@dataclass(slots=True, eq=False)
class Entity:
    """A thing of the world.

    Attributes:
        kind: person, town, work or company.
        name: Its name, unique in the world; also its paragraph's title.
        facts: Relation -> value. `known_for`, a whole sentence, is optional.
    """

    kind: str
    name: str
    facts: dict[str, "Entity | str | int"] = field(default_factory=dict)


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
        random = self._random
        town = Entity("town", self._word(_TOWN_ENDS))
        town.facts["region"] = self._word(_REGION_ENDS)
        town.facts["river"] = self._word(_RIVER_ENDS)
        town.facts["inhabitants"] = random.randrange(2_100, 98_000, 100)
        town.facts["mayor"] = self._person_name()
        return town

    def person(
        self,
        *,
        job: str | None = None,
        born_in: Entity | None = None,
        surname: str | None = None,
    ) -> Entity:
        """Return a person with job, birth town and year."""
        person = Entity("person", self._person_name(surname))
        person.facts["job"] = job or self._random.choice(_JOBS)
        person.facts["born_in"] = born_in or self.town()
        person.facts["birth_year"] = self._random.randrange(1790, 1960)
        return person

    def work(self, *, author: Entity | None = None, form: str | None = None) -> Entity:
        """Return a work with its form, author and year."""
        words = (self._random.choice(_ADJECTIVES), self._random.choice(_NOUNS))
        work = Entity("work", f"The {' '.join(words)} of {self._word(_TOWN_ENDS)}")
        work.facts["form"] = form or self._random.choice(sorted(_WORKS))
        author = author or self.person(job="writer and author")
        work.facts["author"] = author
        work.facts["year"] = self._career_year(author)
        return work

    def company(self, *, founder: Entity | None = None, seat: Entity | None = None) -> Entity:
        """Return a company with its product, founder, seat and year."""
        company = Entity(
            "company", f"{self._word(_SURNAME_ENDS)} {self._random.choice(_COMPANY_ENDS)}"
        )
        company.facts["product"] = self._random.choice(_PRODUCTS)
        founder = founder or self.person()
        company.facts["founder"] = founder
        company.facts["seat"] = seat or self.town()
        company.facts["founded"] = self._career_year(founder)
        return company

    def _career_year(self, person: Entity) -> int:
        """A year in which the person is 22 to 60."""
        return int(str(person.facts["birth_year"])) + self._random.randrange(22, 61)

    def _person_name(self, surname: str | None = None) -> str:
        surname = surname or self._word(_SURNAME_ENDS)
        while (name := f"{self._random.choice(_FIRST_NAMES)} {surname}") in self._words:
            pass
        self._words.add(name)
        return name

    def _word(self, ends: Sequence[str]) -> str:
        """A name that is new to this world."""
        random = self._random
        while True:
            word = random.choice(_STEMS) + random.choice(ends)
            if word not in self._words:
                self._words.add(word)
                return word


def render(entity: Entity, random: Random) -> tuple[Paragraph, dict[str, int]]:
    """Return an entity's paragraph, and for each relation the sentence that tells it (from 0)."""
    sentences: list[str] = []
    tells: dict[str, int] = {}
    values = {
        name: value.name if isinstance(value, Entity) else value
        for name, value in entity.facts.items()
    }
    verb = _WORKS.get(str(values.get("form")), "")
    known_for: list[_Sentence] = (
        [(("known_for",), ("{known_for}",))] if "known_for" in values else []
    )
    for relations, wordings in [*known_for, *_SENTENCES[entity.kind]]:
        sentence = random.choice(wordings).format(it=entity.name, verb=verb, **values)
        tells.update(dict.fromkeys(relations, len(sentences)))
        sentences.append(sentence if not sentences else f" {sentence}")
    return Paragraph(entity.name, tuple(sentences)), tells


_Sentence = tuple[tuple[str, ...], tuple[str, ...]]
"""The relations that a sentence tells, and its wordings."""

_SENTENCES: dict[str, list[_Sentence]] = {
    "town": [
        (("region",), ("{it} is a town in the region of {region}.", "{it} is a town in {region}.")),
        (
            ("river",),
            ("The river {river} flows through {it}.", "{it} lies on the river {river}."),
        ),
        (("inhabitants",), ("{it} has {inhabitants} inhabitants.",)),
        (("mayor",), ("The mayor of {it} is {mayor}.", "{mayor} is the mayor of {it}.")),
    ],
    "person": [
        (("job",), ("{it} was a {job} by profession.", "The profession of {it} was {job}.")),
        (("born_in",), ("{it} was born in the town of {born_in}.", "{it} was born in {born_in}.")),
        (("birth_year",), ("{it} was born in the year {birth_year}.",)),
    ],
    "work": [
        (
            ("form", "author"),
            (
                "{it} is a {form} {verb} by {author}.",
                "{it} is a {form}, and its author is {author}.",
            ),
        ),
        (("year",), ("{it} came out in {year}.", "{it} was first shown to the public in {year}.")),
    ],
    "company": [
        (("product",), ("{it} is a company that makes {product}.",)),
        (("founder",), ("{it} was founded by {founder}.", "{founder} founded {it}.")),
        (("founded",), ("{it} was founded in the year {founded}.",)),
        (("seat",), ("{it} has its headquarters in {seat}.",)),
    ],
}
