"""From an entity's facts to its paragraph."""

from collections.abc import Mapping
from random import Random
from typing import Literal, NamedTuple

from pmi_kernel.core.task import Paragraph
from pmi_kernel.data.worlds import vocab
from pmi_kernel.data.worlds.wordings import SENTENCES, Sentence
from pmi_kernel.data.worlds.world import Entity

Mentions = Literal["named", "paraphrased"]


def render(
    entity: Entity, random: Random, mentions: Mentions = "named", *, answer: str = ""
) -> tuple[Paragraph, dict[str, int]]:
    """Return an entity's paragraph, and for each relation the sentence that tells it (from 0).

    Args:
        entity: What the paragraph is about.
        random: Chooses among the wordings.
        mentions: `named` names the entity in every sentence. `paraphrased` names it in the first;
            the others come in any order, in other words, and say the surname, a description or a
            pronoun. A pronoun never follows a sentence that names another entity.
        answer: No description gives it away.
    """
    told = [s for s in SENTENCES[entity.kind] if entity.facts.keys() >= set(s.relations)]
    if "known_for" in entity.facts:
        told.insert(0, Sentence(("known_for",), ("{known_for}",), ("{known_for}",)))
    values = entity.values()
    values["verb"] = vocab.FORMS.get(values.get("form", ""), "")
    fields = values | _fields(_named(entity.name))
    if mentions == "paraphrased":
        rest = told[1:]
        random.shuffle(rest)
        told[1:] = rest
        others, pronoun = _mentions(entity, values, answer)
    sentences: list[str] = []
    tells: dict[str, int] = {}
    may_be_pronoun = False
    for sentence in told:
        wording = random.choice(getattr(sentence, mentions))
        if mentions == "paraphrased" and sentences:
            fields |= random.choice([*others, pronoun] if may_be_pronoun else others)
        may_be_pronoun = not any(
            isinstance(entity.facts[relation], Entity) for relation in sentence.relations
        )
        tells.update(dict.fromkeys(sentence.relations, len(sentences)))
        text = wording.format_map(fields)
        sentences.append(f" {text}" if sentences else text)
    return Paragraph(entity.title, tuple(sentences)), tells


class _Mention(NamedTuple):
    subject: str
    object: str
    possessive: str


_SHE, _HE = _Mention("she", "her", "her"), _Mention("he", "him", "his")
_IT = _Mention("it", "it", "its")


def _named(name: str) -> _Mention:
    return _Mention(name, name, f"{name}'s")


def _fields(it: _Mention) -> dict[str, str]:
    return {
        "it": it.object,
        "It": _capital(it.subject),
        "its": it.possessive,
        "Its": _capital(it.possessive),
    }


def _mentions(
    entity: Entity, values: Mapping[str, str], answer: str
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The fields of descriptions of an entity, and those of its pronoun."""
    pronoun = _IT
    match entity.kind:
        case "person":
            first, surname = entity.name.split()
            pronoun = _SHE if first in vocab.WOMEN else _HE
            names = [surname, *([f"the {values['job']}"] if values["job"] != answer else [])]
        case "work":
            names = ["the work", *([f"the {values['form']}"] if "form" in values else [])]
        case "company":
            names = ["the company", "the firm"]
        case kind:
            names = [f"the {kind}"]
    return [_fields(_named(name)) for name in names], _fields(pronoun)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
