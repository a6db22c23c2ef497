"""What a relation of the splits' worlds is: a fact with several wordings, some held out."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["person", "town", "work", "company"]
Part = Literal["trained", "held_out"]


@dataclass(frozen=True, slots=True)
class Wordings:
    """Ways to say one thing; `held_out` ones are in no training example."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, part: Part) -> tuple[str, ...]:
        """Return those of a part."""
        return self.trained if part == "trained" else self.held_out


@dataclass(frozen=True, slots=True)
class Relation:
    """A fact that an entity can have.

    In wordings `{it}` is the entity as a subject and `{him}` as an object, `{its}` the possessive,
    `{It}` and `{Its}` the same at a sentence's start; `{value}` is the value, `{a}` the value with
    its article. Questions know `{it}` and `{its}`, phrases `{it}`.

    Attributes:
        name: As in `Entity.facts`.
        subject: Kind of entity that has it.
        value: What its value is: a kind of entity; `name` (of a person without facts), `region`,
            `river` or `newspaper`; `date`, `year` or `number`; or one of `lists.LISTS`.
        statements: Tell it. Each says `{value}` or `{a}` once, and names or mentions the entity.
        questions: Ask for its value. In each part one or more has no `{its}`, which does not go
            with a phrase.
        phrases: Speak of its value, where a question can go through it.
        between: Lowest and highest number; of a date or a year, and of an entity in what is told
            of it, years after the subject's own.
        is_held_out: No training example has it.
    """

    name: str
    subject: Kind
    value: str
    statements: Wordings
    questions: Wordings
    phrases: Wordings | None = None
    between: tuple[int, int] = (0, 0)
    is_held_out: bool = False

    @property
    def is_named(self) -> bool:
        """Whether its value is a name, which no other split has."""
        return self.value in _NAMES


_NAMES = frozenset(
    {"person", "town", "work", "company", "name", "region", "river", "newspaper"},
)
