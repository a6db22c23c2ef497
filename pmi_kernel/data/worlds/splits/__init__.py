"""Worlds to train on and worlds to evaluate on: no name, sentence or question is in both."""

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import Literal

from pmi_kernel.core.task import Example, Gold, SupportingFact, Task
from pmi_kernel.core.trace import UNKNOWN
from pmi_kernel.data.worlds.settings import WorldSettings
from pmi_kernel.data.worlds.splits.ask import Asked, ask, texts
from pmi_kernel.data.worlds.splits.names import names_of
from pmi_kernel.data.worlds.splits.render import render
from pmi_kernel.data.worlds.splits.world import Subject, World

__all__ = ["make_example", "make_question"]

_NEAR_EACH = 3


def make_question(settings: WorldSettings, number: int) -> str:
    """Return the text of the question with a number, without what it is asked among."""
    _, asked, place = _asked(settings, number)
    return _in_words(settings, number, asked[place])


def make_example(settings: WorldSettings, number: int, id_: str) -> Example:
    """Return the example with a number and this id."""
    world, all_asked, place = _asked(settings, number)
    asked, question = all_asked[place], _in_words(settings, number, all_asked[place])
    answer, evidence, type_ = asked.answer, asked.evidence, f"{settings.hops}-hop"
    subjects = [subject for subject, _ in evidence]
    group = number // settings.asked
    if lack := _lack(settings, group):
        subjects[-1] = _without_answer(world, all_asked[0], lack)
        if lack == "subject" or not place:
            answer, evidence, type_ = UNKNOWN, (), f"{type_}-unanswerable"
    distractors = _distractors(world, all_asked)
    subjects += [next(distractors) for _ in range(settings.paragraphs - len(subjects))]
    words = Random(f"{_key(settings, group)}/{settings.wordings}/{settings.mentions}")
    rendered = [render(s, words, settings.wordings, settings.mentions) for s in subjects]
    tells = {paragraph.title: sentences for paragraph, sentences in rendered}
    assert len(tells) == len(rendered), "names collide"
    words.shuffle(rendered)
    return Example(
        Task(id_, question, tuple(paragraph for paragraph, _ in rendered)),
        Gold(
            (answer,),
            tuple(SupportingFact(s.title, tells[s.title][r.name]) for s, r in evidence),
        ),
        type=type_,
        level=asked.evidence[-1][1].name,
    )


def _key(settings: WorldSettings, number: int) -> str:
    return f"{settings.split}/{settings.relations}/{settings.hops}/{settings.seed}/{number}"


def _asked(settings: WorldSettings, number: int) -> tuple[World, list[Asked], int]:
    """The world of a question, all that is asked of it, and which of that the question is."""
    assert settings.split
    group, place = divmod(number, settings.asked)
    relations = settings.relations
    names = names_of(settings.split)
    world = World(Random(_key(settings, group)), names, has_held_out=relations == "held_out")
    first = ask(world, settings.hops, relations, settings.seed, group)
    others = first.others(relations) if settings.asked > 1 else []
    circle = [first, *others]
    return world, [circle[at % len(circle)] for at in range(settings.asked)], place


def _in_words(settings: WorldSettings, number: int, asked: Asked) -> str:
    group, place = divmod(number, settings.asked)
    key = _key(settings, group) + (f"/{place}" if place else "")
    return asked.question(Random(f"{key}/{settings.wordings}"), settings.wordings)


def _lack(settings: WorldSettings, number: int) -> Literal["", "fact", "subject"]:
    """What a question's context lacks; of a greater share, all that a smaller one has and more."""
    if not settings.unanswerable:
        return ""
    random = Random(f"unanswerable/{settings.seed}/{number}")
    if random.random() >= settings.unanswerable:
        return ""
    return random.choice(("fact", "subject"))


def _without_answer(world: World, asked: Asked, lack: Literal["fact", "subject"]) -> Subject:
    """The last subject of the evidence without the fact asked for, or one that resembles it."""
    subject, relation = asked.evidence[-1]
    facts = dict(subject.facts)
    while True:
        if lack == "subject":
            subject = world.like(subject, relation.name)
        else:
            subject.facts = dict(facts)
            world.tell(subject, without=relation.name)
        if not _holds(subject, asked.answer):
            return subject


def _distractors(world: World, all_asked: Sequence[Asked]) -> Iterator[Subject]:
    """Subjects that resemble the evidence, then any; none of them gives an answer away."""
    asked = all_asked[0]
    for number in count():
        if number < _NEAR_EACH * len(asked.evidence):
            subject, relation = asked.evidence[number % len(asked.evidence)]
            distractor = world.like(subject, relation.name)
        else:
            distractor = world.anything()
        if not any(_holds(distractor, one.answer) for one in all_asked):
            yield distractor


def _holds(subject: Subject, answer: str) -> bool:
    return any(answer in text for text in texts(subject))
