"""Worked examples in front of a question, and the chats that begin with some.

Their facts are fictional and stand in no data set, so they give nothing away.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pmi_kernel.core.answers import FREE, AnswerForm, AnswerKind
from pmi_kernel.prompting.messages import Message, Prompt


@dataclass(frozen=True, slots=True)
class Shot:
    """One worked example: the searches with what they gave, a note on it, and the answer."""

    question: str
    searches: tuple[tuple[str, str], ...]
    note: str
    answer: str
    form: AnswerForm = FREE

    @property
    def evidence(self) -> str:
        """All that its searches gave."""
        return "\n".join(text for _, text in self.searches)

    @property
    def reply(self) -> str:
        """The turn that ends it."""
        return f"<answer>{self.form.given(self.answer)}</answer>"


SHOTS: tuple[Shot, ...] = (
    Shot(
        question="In which town was the author of The Amber Ladder born?",
        searches=(
            (
                "author The Amber Ladder born",
                "The Amber Ladder: The Amber Ladder is a novel by Quill Tarvane. It sold badly.\n"
                "Quill Tarvane: Quill Tarvane is a novelist. Tarvane was born in Ostermoor.",
            ),
        ),
        note="The Amber Ladder is a novel by Quill Tarvane. Quill Tarvane was born in Ostermoor.",
        answer="Ostermoor",
    ),
    Shot(
        question="Were the Fenlow Bridge and the Harrick Tower both finished in the same year?",
        searches=(
            (
                "Fenlow Bridge Harrick Tower finished year",
                "Fenlow Bridge: The Fenlow Bridge was finished in 1871. It crosses the Ister.\n"
                "Harrick Tower: The Harrick Tower was finished in 1902.",
            ),
        ),
        note="The Fenlow Bridge was finished in 1871. The Harrick Tower was finished in 1902.",
        answer="no",
    ),
    Shot(
        question="Who leads the company that owns the ship Pale Heron?",
        searches=(
            (
                "leads company owns ship Pale Heron",
                "Pale Heron: The Pale Heron is a cargo ship owned by Dunmarsh Lines.",
            ),
            (
                "Dunmarsh Lines leader",
                "Dunmarsh Lines: Dunmarsh Lines is a shipping company led by Isolde Brack.",
            ),
        ),
        note="The Pale Heron is owned by Dunmarsh Lines. Dunmarsh Lines is led by Isolde Brack.",
        answer="Isolde Brack",
    ),
)

MAX_SHOTS = len(SHOTS)

_FENLOW = SHOTS[1]
_LABELLED = (
    Shot(
        question="Did Quill Tarvane grow up in the town where The Amber Ladder was printed?",
        searches=(
            (
                "Quill Tarvane grow up town The Amber Ladder printed",
                "Quill Tarvane: Quill Tarvane is a novelist. Tarvane grew up in Ostermoor.\n"
                "The Amber Ladder: The Amber Ladder was printed in Ostermoor. It sold badly.",
            ),
        ),
        note="Quill Tarvane grew up in Ostermoor. The Amber Ladder was printed in Ostermoor.",
        answer="yes",
    ),
    _FENLOW,
)
"""Of yes and no."""
_UNDECIDED = Shot(
    question="Does the oil of the marl thistle shorten a fever?",
    searches=(
        (
            "oil marl thistle shorten fever",
            "Marl thistle: In one trial the oil of the marl thistle shortened a fever by a day.\n"
            "Fever trials: A second trial of the oil of the marl thistle found no difference.",
        ),
    ),
    note="One trial of the oil of the marl thistle shortened a fever. A second found nothing.",
    answer="maybe",
)
_OPTIONS = (
    ("Fenlow", "Ostermoor", "Dunmarsh"),
    ("1871", "1902", "1888", "1915"),
    ("Quill Tarvane", "Odo Fenn", "Maud Harrick", "Isolde Brack"),
)
_CHOICES = (
    SHOTS[0],
    replace(
        _FENLOW,
        question="In which year was the Harrick Tower finished?",
        note="The Harrick Tower was finished in 1902.",
        answer="1902",
    ),
    SHOTS[2],
)
_SHOTS = {
    AnswerKind.FREE: SHOTS,
    AnswerKind.YES_NO: _LABELLED,
    AnswerKind.YES_NO_MAYBE: (*_LABELLED, _UNDECIDED),
    AnswerKind.CHOICE: tuple(
        replace(shot, form=AnswerForm(AnswerKind.CHOICE, options))
        for shot, options in zip(_CHOICES, _OPTIONS, strict=True)
    ),
}


def shots_of(form: AnswerForm) -> tuple[Shot, ...]:
    """Return worked examples that are answered as a question is, at most `MAX_SHOTS`."""
    return _SHOTS[form.kind]


def few_shot(system: str, shown: Iterable[tuple[str, str]], asked: str) -> Prompt:
    """Return the chat that shows what was asked and replied before it asks the same way."""
    chat = [Message("system", system)]
    for before, reply in shown:
        chat += [Message("user", before), Message("assistant", reply)]
    return (*chat, Message("user", asked))
