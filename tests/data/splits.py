"""Examples of worlds with a split, and what their texts are looked through for."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, product

from hypothesis import strategies as st

from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.data import load_examples
from pmi_kernel.data.worlds import WorldSettings
from pmi_kernel.data.worlds.splits.world import RELATIONS

MENTIONS = ("named", "paraphrased")
PARTS = ("trained", "held_out")
MONTHS = frozenset(
    "January February March April May June July August September October November December".split()
)


def settings(split: str) -> st.SearchStrategy[WorldSettings]:
    parts = st.sampled_from(PARTS if split == "dev" else PARTS[:1])
    return st.builds(
        WorldSettings,
        split=st.just(split),
        hops=st.integers(1, 4),
        n=st.integers(1, 3),
        seed=st.integers(0, 10**6),
        paragraphs=st.integers(4, 10),
        mentions=st.sampled_from(MENTIONS),
        wordings=parts,
        relations=parts,
        unanswerable=st.sampled_from([0, 0.3, 1]),
    )


either = st.sampled_from(["train", "dev"]).flatmap(settings)


@cache
def many(source: str) -> tuple[Example, ...]:
    return tuple(load_examples(f"world:{source}"))


@cache
def all_of(split: str) -> tuple[Example, ...]:
    """Several hundred examples of every kind that a split has."""
    parts = list(product(PARTS, PARTS)) if split == "dev" else [("trained", "trained")]
    sources = (
        f"split={split},hops={hops},n=90,seed={seed},mentions={mentions},wordings={wordings},"
        f"relations={relations},paragraphs=6,unanswerable=0.2"
        for hops, seed, mentions in [(1, 0, "named"), (1, 7, "paraphrased"), (3, 1, "paraphrased")]
        for wordings, relations in parts
    )
    return tuple(chain.from_iterable(many(source) for source in sources))


def sentences(examples: Iterable[Example]) -> Iterator[str]:
    for example in examples:
        for paragraph in example.task.context:
            yield from map(str.strip, paragraph.sentences)


def names(examples: Iterable[Example]) -> set[str]:
    """Every capitalised word of titles, and of sentences and questions but for the first word."""
    found: set[str] = set()
    for example in examples:
        titles = [p.title.removeprefix("The ") for p in example.task.context]
        inner = [text.split(" ", 1)[1] for text in [*sentences([example]), example.task.question]]
        for text in [*titles, *inner]:
            found.update(re.findall(r"\b[A-Z][a-z]+", text))
    return found - MONTHS - {"The"}


def holds(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def paragraph_of(example: Example, title: str) -> Paragraph:
    (paragraph,) = (p for p in example.task.context if p.title == title)
    return paragraph


@cache
def pattern(wording: str) -> re.Pattern[str]:
    text = re.escape(wording)
    for slot in ("It", "it", "him", "Its", "its", "value", "a"):
        text = text.replace(re.escape(f"{{{slot}}}"), "(.+)")
    return re.compile(text)


def matching(texts: Iterable[str], wordings: Iterable[str]) -> set[str]:
    texts = set(texts)
    return {wording for wording in wordings if any(map(pattern(wording).fullmatch, texts))}


def wordings(part: str, *, of: str, is_held_out: bool | None = None) -> list[str]:
    return [
        wording
        for relation in RELATIONS
        if is_held_out in (None, relation.is_held_out)
        for wording in getattr(getattr(relation, of), part)
    ]
