"""The names of a split's worlds, each from thousands to millions, with no word of another split's.

What a word belongs to is told by its first three letters alone, so the words of two splits differ
there already, whatever they name.
"""

from collections.abc import Iterable
from functools import cache
from itertools import product
from random import Random
from typing import Literal, NamedTuple
from zlib import crc32

from pmi_kernel.data.worlds.splits import syllables
from pmi_kernel.data.worlds.splits.lists import LISTS

Split = Literal["train", "dev"]
Pronoun = Literal["she", "he", "it"]
_TRAIN_OF_TEN = 7
_SHARE_LONG = 0.4
"""Share of words with a further syllable."""


def split_of(key: str) -> Split:
    """Return the split that a key belongs to."""
    return "train" if crc32(key.encode()) % 10 < _TRAIN_OF_TEN else "dev"


def split_of_word(word: str) -> Split:
    """Return the split that alone has a word, of three letters or more, in its names."""
    return split_of(word[:3].lower())


class Name(NamedTuple):
    """A name, the part of it that others may share, and the pronoun that stands for it."""

    text: str
    root: str
    pronoun: Pronoun = "it"


class Names:
    """Draws the names of a split, and holds its closed answers.

    Args:
        split: Whose.

    Attributes:
        lists: Closed answers by kind: of `train` most of `LISTS`, of `dev` all.
    """

    def __init__(self, split: Split) -> None:
        def own(words: Iterable[str]) -> tuple[str, ...]:
            return tuple(word for word in words if split_of_word(word) == split)

        def stems(ends: list[str]) -> tuple[str, ...]:
            single = [end for end in ends if len(end) == 1]
            rimes = [*product(syllables.VOWELS, ends), *product(syllables.DIPHTHONGS, single)]
            made = [a + b + c for a, (b, c) in product(syllables.ONSETS, rimes)]
            made += [a.upper() + b for a, b in product(syllables.VOWELS, ends) if len(b) > 1]
            return own(stem for stem in made if not stem.lower().startswith(syllables.UNSEEMLY))

        self._before_vowel, self._before_consonant = (
            stems(syllables.CLUSTERS),
            stems(syllables.CODAS),
        )
        self._ends = {kind: tuple(ends.split()) for kind, ends in syllables.ENDS.items()}
        self._first_names: dict[Pronoun, tuple[tuple[str, ...], tuple[str, ...]]] = {
            "she": (own(syllables.WOMEN), syllables.WOMEN_ENDS),
            "he": (own(syllables.MEN), syllables.MEN_ENDS),
        }
        self._company_ends = own(syllables.COMPANY_ENDS)
        self._publisher_ends = own(syllables.PUBLISHER_ENDS)
        self._newspaper_ends = own(syllables.NEWSPAPER_ENDS)
        self._adjectives = own(syllables.ADJECTIVES)
        self._nouns = own(syllables.NOUNS)
        self.lists = {
            name: tuple(item for item in items if split in (split_of(item), "dev"))
            for name, items in LISTS.items()
        }

    def person(self, random: Random, surname: str = "") -> Name:
        """Return a first name and a surname, the root."""
        pronoun: Pronoun = random.choice(("she", "he"))
        known, ends = self._first_names[pronoun]
        if random.random() < 0.5:
            first = random.choice(known)
        else:
            first = random.choice(self._before_vowel) + random.choice(ends)
        surname = surname or self.word(random, "surname").text
        return Name(f"{first} {surname}", surname, pronoun)

    def company(self, random: Random, first: str = "", *, is_publisher: bool = False) -> Name:
        """Return a first word, the root, with what a company or a publisher is called."""
        first = first or self.word(random, random.choice(("company", "surname"))).text
        ends = self._publisher_ends if is_publisher else self._company_ends
        return Name(f"{first} {random.choice(ends)}", first)

    def newspaper(self, random: Random) -> Name:
        """Return the name of a newspaper."""
        first = self.word(random, "newspaper").text
        return Name(f"{first} {random.choice(self._newspaper_ends)}", first)

    def work(self, random: Random, noun: str = "") -> Name:
        """Return a title, with its first noun as the root."""
        noun = noun or random.choice(self._nouns)
        other = random.choice(self._nouns)
        while other == noun:
            other = random.choice(self._nouns)
        adjective = random.choice(self._adjectives)
        match random.randrange(9):
            case 0:
                title = f"The {adjective} {noun}"
            case 1:
                title = f"{adjective} {noun}"
            case 2:
                title = f"The {noun} and the {other}"
            case 3 | 4:
                title = f"The {adjective} {noun} and the {other}"
            case 5 | 6:
                title = f"The {noun} of {self.word(random, 'town').text}"
            case _:
                title = f"The {adjective} {noun} of {self.word(random, 'town').text}"
        return Name(title, noun)

    def word(self, random: Random, kind: str, stem: str = "") -> Name:
        """Return a made-up word of a kind of `syllables.ENDS`; its stem is the root."""
        end = random.choice(self._ends[kind])
        middle = random.choice(syllables.MIDDLES) if random.random() < _SHARE_LONG else ""
        if not stem:
            is_before_vowel = (middle or end)[0] in syllables.VOWELS
            stem = random.choice(self._before_vowel if is_before_vowel else self._before_consonant)
        elif not middle:  # what others share may be a stem that only goes before a vowel
            while end[0] not in syllables.VOWELS:
                end = random.choice(self._ends[kind])
        return Name(stem + middle + end, stem)


@cache
def names_of(split: Split) -> Names:
    """Return the names of a split, made once."""
    return Names(split)
