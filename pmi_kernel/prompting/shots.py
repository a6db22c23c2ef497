"""Worked examples in front of a question, and the chats that begin with some.

Their facts are fictional and stand in no data set, so they give nothing away.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pmi_kernel.prompting.messages import Message, Prompt


@dataclass(frozen=True, slots=True)
class Shot:
    """One worked example: the searches with what they gave, a note on it, and the answer."""

    question: str
    searches: tuple[tuple[str, str], ...]
    note: str
    answer: str

    @property
    def evidence(self) -> str:
        """All that its searches gave."""
        return "\n".join(text for _, text in self.searches)

    @property
    def reply(self) -> str:
        """The turn that ends it."""
        return f"<answer>{self.answer}</answer>"


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


def few_shot(system: str, shown: Iterable[tuple[str, str]], asked: str) -> Prompt:
    """Return the chat that shows what was asked and replied before it asks the same way."""
    chat = [Message("system", system)]
    for before, reply in shown:
        chat += [Message("user", before), Message("assistant", reply)]
    return (*chat, Message("user", asked))
