"""From a subject's facts to its paragraph, one sentence a fact."""

from random import Random

from pmi_kernel.core.task import Paragraph
from pmi_kernel.data.worlds.render import Mentions
from pmi_kernel.data.worlds.splits.grammar import capital, possessive, with_article
from pmi_kernel.data.worlds.splits.relations import Kind, Part, Relation
from pmi_kernel.data.worlds.splits.world import RELATION, Subject

Fields = dict[str, str]


def render(
    subject: Subject, random: Random, part: Part, mentions: Mentions
) -> tuple[Paragraph, dict[str, int]]:
    """Return a subject's paragraph, and for each relation the sentence that tells it (from 0).

    Args:
        subject: What the paragraph is about.
        random: Chooses order and wordings.
        part: The wordings that it chooses from.
        mentions: `named` has the name in every sentence. `paraphrased` has it in the first; the
            others say the name, a part of it, a description or a pronoun. Description and pronoun
            stand only where the value is a name, so that no sentence could stand in another split,
            and where the sentence before leaves no doubt of whom they speak.
    """
    named = _fields(subject.name)
    told = list(subject.facts)
    random.shuffle(told)
    sentences: list[str] = []
    tells: dict[str, int] = {}
    before: Relation | None = None
    for name in told:
        relation, value = RELATION[name], subject.facts[name]
        text = value.name if isinstance(value, Subject) else str(value)
        wording = random.choice(relation.statements.of(part))
        fields = named
        if before and mentions == "paraphrased":
            mention = random.choice(_mentions(subject, relation, before, wording))
            fields = _PRONOUNS.get(mention) or _fields(mention)
        article = {"a": with_article(text)} if "{a}" in wording else {}
        sentence = wording.format_map(fields | article | {"value": text})
        tells[name] = len(sentences)
        sentences.append(f" {sentence}" if sentences else sentence)
        before = relation
    return Paragraph(subject.title, tuple(sentences)), tells


_PEOPLE = frozenset({"person", "name"})
_PRONOUNS: dict[str, Fields] = {
    "she": {"it": "she", "him": "her", "its": "her", "It": "She", "Its": "Her"},
    "he": {"it": "he", "him": "him", "its": "his", "It": "He", "Its": "His"},
    "it": {"it": "it", "him": "it", "its": "its", "It": "It", "Its": "Its"},
}
_DESCRIPTIONS: dict[Kind, tuple[str, ...]] = {
    "person": (),
    "town": ("the town",),
    "work": ("the book", "the text"),
    "company": ("the company", "the firm"),
}


def _mentions(subject: Subject, relation: Relation, before: Relation, wording: str) -> list[str]:
    """What may stand for a subject, after the sentence of another relation."""
    mentions = [subject.name]
    if subject.kind in ("person", "company"):
        mentions.append(subject.root)
    if not relation.is_named:
        return mentions
    if before.value != subject.kind:
        mentions += _DESCRIPTIONS[subject.kind]
    if subject.kind == "person":
        is_clear = before.value not in _PEOPLE
    else:  # "the mayor of it" is no English
        is_clear = (not before.is_named or before.value in _PEOPLE) and "{him}" not in wording
    return [*mentions, subject.pronoun] if is_clear else mentions


def _fields(name: str) -> Fields:
    its = possessive(name)
    return {"it": name, "him": name, "its": its, "It": capital(name), "Its": capital(its)}
