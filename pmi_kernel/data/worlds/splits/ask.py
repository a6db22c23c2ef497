"""Questions of one to four hops over a split's worlds."""

from dataclasses import dataclass
from functools import cache
from random import Random

from pmi_kernel.data.worlds.splits.grammar import possessive
from pmi_kernel.data.worlds.splits.relations import Part, Relation
from pmi_kernel.data.worlds.splits.world import RELATIONS, Subject, World

Chain = tuple[Relation, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that is not yet put in words.

    Attributes:
        evidence: (subject, relation) pairs that lead to the answer, in order; the subjects have
            their facts.
        answer: The one right answer.
    """

    evidence: tuple[tuple[Subject, Relation], ...]
    answer: str

    def question(self, random: Random, part: Part) -> str:
        """Return the question in words of a part."""
        about = self.evidence[0][0].name
        *links, (_, asked) = self.evidence
        for _, relation in links:
            assert relation.phrases
            about = random.choice(relation.phrases.of(part)).format(it=about)
        wordings = asked.questions.of(part)
        if links:
            wordings = tuple(wording for wording in wordings if "{its}" not in wording)
        return random.choice(wordings).format(it=about, its=possessive(about))

    def others(self, part: Part) -> list["Asked"]:
        """Return what else the last subject's facts answer, relations of a part only."""
        subject, asked = self.evidence[-1]
        values, all_texts = subject.values(), texts(subject)
        return [
            Asked(((subject, relation),), values[relation.name])
            for relation in RELATIONS
            if relation.name in subject.facts
            and relation is not asked
            and relation.is_held_out == (part == "held_out")
            and sum(text.count(values[relation.name]) for text in all_texts) == 1
        ]


@cache
def chains(hops: int, part: Part) -> tuple[Chain, ...]:
    """Return every chain of so many relations, each from the kind that the one before leads to.

    The last one is of the part; the others are trained. No relation comes twice.
    """
    last = [relation for relation in RELATIONS if relation.is_held_out == (part == "held_out")]
    if hops == 1:
        return tuple((relation,) for relation in last)
    return tuple(
        (*chain, relation)
        for chain in chains(hops - 1, "trained")
        for relation in last
        if chain[-1].phrases and relation.subject == chain[-1].value and relation not in chain
    )


def ask(world: World, hops: int, part: Part, seed: int, number: int) -> Asked:
    """Return the question with a number; every chain comes once before any comes again.

    Args:
        world: Where its facts hold.
        hops: Relations in the chain.
        part: What the relation asked for is.
        seed: Orders the chains.
        number: From 0.
    """
    order = _order(hops, part, seed)
    chain = order[number % len(order)]
    while True:  # until no other fact of the evidence has the answer in it, as a year or job can
        subject = world.subject(chain[0].subject)
        evidence = []
        for relation in chain:
            evidence.append((subject, relation))
            value = world.value(subject, relation)
            if isinstance(value, Subject):
                subject = value
        answer = value.name if isinstance(value, Subject) else value
        subjects = [world.tell(subject) for subject, _ in evidence]
        if sum(text.count(answer) for subject in subjects for text in texts(subject)) == 1:
            return Asked(tuple(evidence), answer)


def texts(subject: Subject) -> tuple[str, ...]:
    """Return a subject's name and values."""
    return (subject.name, *subject.values().values())


@cache
def _order(hops: int, part: Part, seed: int) -> list[Chain]:
    options = chains(hops, part)
    return Random(f"splits/{hops}/{part}/{seed}").sample(options, len(options))
