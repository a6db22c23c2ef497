"""Sentences, names and numbers in plain text, found by their shape."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s+[A-Z0-9\"'(])|$)", re.DOTALL)
_NAME = re.compile(
    r"[A-Z][\w'’&-]*(?:\.(?=\s[A-Z][a-z]))?(?:\s+(?:(?:of|the|and|de|von|van|in|for)\s+){0,2}"
    r"[A-Z][\w'’&-]*)*"
)
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
_NO_NAME = frozenset(
    "The A An In On At By From For It He She They This That These Those His Her Its Their "
    "After Before Since When While As There".split()
)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, with where it is in it."""

    start: int
    stop: int
    text: str


def sentences(text: str) -> list[Span]:
    """Return the sentences of a text."""
    return find_all(_SENTENCE, Span(0, len(text), text))


def names(span: Span) -> list[Span]:
    """Return the names in a part of a text: capitalised words, but what only begins a sentence."""
    return [name for name in find_all(_NAME, span) if name.text not in _NO_NAME]


def numbers(span: Span, names: Sequence[Span] = ()) -> list[Span]:
    """Return the numbers in a part of a text that are in none of the names."""
    found = find_all(_NUMBER, span)
    return [number for number in found if not any(touch(number, name) for name in names)]


def find_all(pattern: re.Pattern[str], span: Span) -> list[Span]:
    """Return every match of a pattern in a part of a text."""
    return [
        Span(span.start + match.start(), span.start + match.end(), match[0])
        for match in pattern.finditer(span.text)
    ]


def touch(one: Span, other: Span) -> bool:
    """Whether two parts of a text have a character in common."""
    return one.start < other.stop and other.start < one.stop
