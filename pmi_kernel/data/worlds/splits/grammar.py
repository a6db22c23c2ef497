"""What English makes of a word by its first or its last letter."""

_SPOKEN_AS_CONSONANT = ("eu", "uk", "unic", "ut", "use")


def with_article(words: str) -> str:
    """Return words of `lists.LISTS` after "a" or "an"."""
    is_vowel = words[0] in "aeiou" and not words.startswith(_SPOKEN_AS_CONSONANT)
    return f"{'an' if is_vowel else 'a'} {words}"


def possessive(name: str) -> str:
    """Return a name with what says that something is its own."""
    return f"{name}'" if name.endswith("s") else f"{name}'s"


def capital(text: str) -> str:
    """Return text as it stands at a sentence's start."""
    return text[0].upper() + text[1:]
