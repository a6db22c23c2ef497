"""Text from outside: what is text at all, and how a value of any size is shown in a message."""

import reprlib
from collections.abc import Iterator

_MOST_CHARS = 120
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring = 2, _MOST_CHARS


def is_text(text: str) -> bool:
    """Whether a string holds Unicode scalar values only; a lone surrogate is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def texts(value: object) -> Iterator[str]:
    """Yield every string in a JSON value, names of fields included."""
    waiting = [value]
    for value in waiting:  # it grows; nested lists may be deeper than calls
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]


def shown(value: object) -> str:
    """Return a value as one line of at most 120 characters, controls and surrogates escaped."""
    text = _SHORT.repr(value)
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 3]}..."
