"""Questions of one to four hops: a chain of relations over entities, put in words by phrases."""

from dataclasses import dataclass
from functools import cache
from random import Random

from pmi_kernel.data.worlds.asked import Asked
from pmi_kernel.data.worlds.lazy import LazyWorld
from pmi_kernel.data.worlds.world import Entity

_NEAR_EACH = 3


@dataclass(frozen=True, slots=True)
class Relation:
    """A fact that can be asked for, or gone through to another entity.

    Attributes:
        name: As in `Entity.facts`.
        subject: Kind of entity that has it.
        question: Asks for its value.
        phrase: Speaks of its value; empty where that is no entity.
        value: Kind of its value; empty where that is no entity.
    """

    name: str
    subject: str
    question: str
    phrase: str = ""
    value: str = ""


_RELATIONS = (
    Relation("job", "person", "What was the profession of {}?"),
    Relation("birth_year", "person", "In what year was {} born?"),
    Relation(
        "born_in",
        "person",
        "In which town was {} born?",
        "the town where {} was born",
        "town",
    ),
    Relation("teacher", "person", "Who was the teacher of {}?", "the teacher of {}", "person"),
    Relation("region", "town", "In which region is {}?"),
    Relation("river", "town", "Which river flows through {}?"),
    Relation("inhabitants", "town", "How many inhabitants are there in {}?"),
    Relation("mayor", "town", "Who is the mayor of {}?"),
    Relation("year", "work", "In what year did {} come out?"),
    Relation("author", "work", "Who is the author of {}?", "the author of {}", "person"),
    Relation(
        "publisher",
        "work",
        "Which company published {}?",
        "the company that published {}",
        "company",
    ),
    Relation("product", "company", "What does {} make?"),
    Relation("founded", "company", "In what year was {} founded?"),
    Relation("founder", "company", "Who founded {}?", "the founder of {}", "person"),
    Relation(
        "seat",
        "company",
        "In which town does {} have its headquarters?",
        "the town where {} has its headquarters",
        "town",
    ),
)

Chain = tuple[Relation, ...]


@cache
def chains(hops: int) -> tuple[Chain, ...]:
    """Return every chain of so many relations, each from the kind that the one before leads to.

    No relation comes twice, or a question would be hard to read.
    """
    if hops == 1:
        return tuple((relation,) for relation in _RELATIONS)
    return tuple(
        (*chain, relation)
        for chain in chains(hops - 1)
        for relation in _RELATIONS
        if relation.subject == chain[-1].value and relation not in chain
    )


def ask_fact(world: LazyWorld, hops: int, seed: int, number: int) -> Asked:
    """Return the question with a number; every chain comes once before any comes again.

    Args:
        world: Where its facts hold.
        hops: Relations in the chain.
        seed: Orders the chains.
        number: From 0.
    """
    order = _order(hops, seed)
    chain = order[number % len(order)]
    while True:  # until no other fact on the way has the answer's value, as a year or a job can
        evidence = _walk(world, chain)
        last, asked = evidence[-1]
        answer = last.values()[asked]
        others = (e.values() | {"name": e.name} for e, _ in evidence)
        if sum(list(values.values()).count(answer) for values in others) == 1:
            break
    about = evidence[0][0].name
    for relation in chain[:-1]:
        about = relation.phrase.format(about)
    near = (world.like(entity) for _ in range(_NEAR_EACH) for entity, _ in evidence)
    return Asked(chain[-1].question.format(about), answer, evidence, near, level=asked)


@cache
def _order(hops: int, seed: int) -> list[Chain]:
    options = chains(hops)
    return Random(f"chains/{hops}/{seed}").sample(options, len(options))


def _walk(world: LazyWorld, chain: Chain) -> tuple[tuple[Entity, str], ...]:
    match chain[0].subject:
        case "person":
            entity = world.person()
        case "town":
            entity = world.town()
        case "company":
            entity = world.company()
        case _:
            entity = world.work(author=world.person())
    evidence = []
    for relation in chain:
        world.complete(entity)
        evidence.append((entity, relation.name))
        value = entity.facts[relation.name]
        if relation.value:
            assert isinstance(value, Entity)
            entity = value
    return tuple(evidence)
