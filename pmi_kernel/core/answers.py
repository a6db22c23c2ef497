"""What may be answered: free text, a label such as yes or no, or one of some options."""

import re
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_uppercase

MOST_OPTIONS = len(ascii_uppercase)
"""Options that letters can be given to."""

_LETTER = re.compile(r"\s*(?:option\s+)?(?:\(([a-z])\)|([a-z])(?=[.:)]|\s*$))", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")


class AnswerKind(StrEnum):
    """Free text with aliases; yes or no; yes, no or maybe; one of the question's options."""

    FREE = "free"
    YES_NO = "yes_no"
    YES_NO_MAYBE = "yes_no_maybe"
    CHOICE = "choice"


_LABELS = {AnswerKind.YES_NO: ("yes", "no"), AnswerKind.YES_NO_MAYBE: ("yes", "no", "maybe")}


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What an answer to a question looks like.

    Attributes:
        kind: What it is.
        options: The texts to choose from, of a choice; the first is A.
    """

    kind: AnswerKind = AnswerKind.FREE
    options: tuple[str, ...] = ()

    @property
    def allowed(self) -> tuple[str, ...]:
        """Every answer there is, as it is given; none of free text, which may be anything.

        A choice is given as its letter with the option's text, `B. Ostermoor`.
        """
        if self.kind is AnswerKind.CHOICE:
            return tuple(
                f"{letter}. {' '.join(text.split())}"
                for letter, text in zip(ascii_uppercase, self.options, strict=False)
            )
        return _LABELS.get(self.kind, ())

    def read(self, text: str) -> str | None:
        """Return the answer that a text gives, one of `allowed`; None where it gives none.

        A label is the text's first word; a choice is a letter (`B`, `(b)`, `B. Ostermoor`), else
        the whole text of an option. Free text is any text that is not blank.
        """
        if self.kind is AnswerKind.FREE:
            return text if text.strip() else None
        if self.kind is not AnswerKind.CHOICE:
            first = _WORD.search(text)
            word = first[0].lower() if first else ""
            return word if word in self.allowed else None
        place = -1
        if found := _LETTER.match(text):
            place = ascii_uppercase.index((found[1] or found[2]).upper())
        else:
            told = [_folded(option) for option in self.options]
            if _folded(text) in told:
                place = told.index(_folded(text))
        return self.allowed[place] if 0 <= place < len(self.options) else None

    def given(self, answer: str) -> str:
        """Return a gold answer as it is given: of an option's text, with its letter before it."""
        if self.kind is AnswerKind.CHOICE and answer in self.options:
            return self.allowed[self.options.index(answer)]
        return answer

    def bare(self, answer: str) -> str:
        """Return an answer without its letter: the text of the option that it gives."""
        told = self.read(answer) if self.kind is AnswerKind.CHOICE else None
        return self.options[self.allowed.index(told)] if told else answer


FREE = AnswerForm()
"""Free text."""


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .")
