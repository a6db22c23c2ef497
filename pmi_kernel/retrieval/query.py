"""The forced first search of an episode."""

import re

_DROPPED = frozenset(
    """a an the of in on at to by for from with as and or that which who whom whose what when where
    why how is are was were be been being do does did has have had can could will would this these
    those it its""".split()
)


def make_step0_query(question: str) -> str:
    """Return the question's content words in order; the question itself where none is left."""
    kept = [
        word for word in re.findall(r"\w+(?:[.'’-]\w+)*", question) if word.lower() not in _DROPPED
    ]
    return " ".join(kept) or question.strip()
