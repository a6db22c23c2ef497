"""A context as an encoder reads it: sentence by sentence, with what stands where."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pmi_kernel.core.task import Paragraph, titled

_Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Context:
    """Paragraphs as tokens, each `{title}: {sentence}` in a row, without special tokens.

    Attributes:
        ids: The tokens, no more than were asked for.
        places: Of each token: paragraph and sentence in it, both from 0.
        pieces: Of each token: its text, with the blanks before it; together the lines as read.
        cut_tokens: Tokens that were left off at the end.
        titles: Of the paragraphs.
    """

    ids: tuple[int, ...]
    places: tuple[_Place, ...]
    pieces: tuple[str, ...]
    cut_tokens: int
    titles: tuple[str, ...]

    def support(self, facts: Collection[_Place]) -> tuple[bool, ...]:
        """Return which tokens are of supporting sentences, each a (paragraph, sentence)."""
        return tuple(place in facts for place in self.places)


def read_context(tokenizer: Any, paragraphs: Sequence[Paragraph], most_tokens: int) -> Context:
    """Return paragraphs as an encoder reads them.

    Args:
        tokenizer: A fast one.
        paragraphs: In their order.
        most_tokens: How many are kept; what is left over is counted.
    """
    titles = tuple(one.title for one in paragraphs)
    lines, places = [], []
    for at, paragraph in enumerate(paragraphs):
        for number, sentence in enumerate(paragraph.sentences):
            lines.append(titled(paragraph.title, " ".join(sentence.split())))
            places.append((at, number))
    if not lines:
        return Context((), (), (), 0, titles)
    read = tokenizer(
        lines, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False
    )
    ids: list[int] = []
    found: list[_Place] = []
    pieces: list[str] = []
    for line, place, tokens, offsets in zip(
        lines, places, read["input_ids"], read["offset_mapping"], strict=True
    ):
        end = 0
        for _, stop in offsets:
            pieces.append(line[end:stop] if stop > end else "")
            end = max(end, stop)
        ids += tokens
        found += [place] * len(tokens)
    kept = slice(0, most_tokens)
    return Context(
        tuple(ids[kept]),
        tuple(found[kept]),
        tuple(pieces[kept]),
        max(0, len(ids) - most_tokens),
        titles,
    )
