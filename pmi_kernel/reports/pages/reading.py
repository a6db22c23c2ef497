"""What a reader of a trace wants to see, as plain data: matches, sources, bars, curves, costs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.spans import sentences
from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import Passage, Step

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+(?=\s|$)|\n|[.!?]|$)\s*")

_LINKED_SHARE = 0.5
"""Least share of a snippet sentence's words that its source must hold."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, as token overlap counts them."""
    return _WORD.findall(text.lower())


def highlight(text: str, wanted: set[str]) -> list[tuple[str, bool]]:
    """Return the text in pieces, each with whether it is one of the wanted words."""
    pieces = [(piece, piece.lower() in wanted) for piece in re.split(r"(\w+)", text) if piece]
    return [
        ("".join(piece for piece, _ in group), is_hit)
        for is_hit, group in groupby(pieces, key=lambda item: item[1])
    ]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sentence of a snippet came from.

    Attributes:
        sentence: The snippet's sentence.
        rank: Rank of the passage that holds most of its words; None where none holds half.
        title: That passage's title.
        found: The passage's sentence.
        share: Share of the snippet sentence's words in it, in [0, 1].
    """

    sentence: str
    rank: int | None = None
    title: str = ""
    found: str = ""
    share: float = 0.0


def sources(snippet: str, search: Step, task: Task) -> list[Source]:
    """Return each sentence of a snippet with the sentence of the evidence that it came from."""
    candidates = [
        (passage, " ".join(sentence.split()), set(words(f"{passage.title} {sentence}")))
        for passage in search.passages
        if passage.text
        for sentence in _sentences(passage, task)
        if " ".join(sentence.split()) and " ".join(sentence.split())[:40] in passage.text
    ]
    linked = []
    for sentence in _SENTENCE.findall(snippet):
        wanted = set(words(sentence))
        if not wanted:
            continue
        best = Source(sentence.strip())
        for passage, found, have in candidates:
            share = len(wanted & have) / len(wanted)
            if share >= _LINKED_SHARE and share > best.share:
                best = Source(sentence.strip(), passage.rank, passage.title, found, share)
        linked.append(best)
    return linked


def _sentences(passage: Passage, task: Task) -> Sequence[str]:
    """The sentences of a passage as the data set has them; of a corpus's, those of its text."""
    if passage.source:
        return [sentence.text for sentence in sentences(passage.text)]
    return task.context[passage.index].sentences


@dataclass(frozen=True, slots=True)
class TokenBar:
    """One token of the gold answer before and after, with bar lengths in percent."""

    token: str
    before_nats: float
    after_nats: float
    before_percent: float
    after_percent: float

    @property
    def rise_nats(self) -> float:
        """How much likelier the token became."""
        return self.after_nats - self.before_nats


def token_bars(before: GoldScore, after: GoldScore) -> list[TokenBar]:
    """Return the gold answer token by token; both scores are over the same tokens."""
    longest = max((-value for value in (*before.logprobs_nats, *after.logprobs_nats)), default=0)
    scale = 100 / longest if longest > 0 else 0.0
    return [
        TokenBar(token, low, high, -low * scale, -high * scale)
        for token, low, high in zip(
            before.tokens, before.logprobs_nats, after.logprobs_nats, strict=True
        )
    ]


@dataclass(frozen=True, slots=True)
class Curve:
    """A small line chart in SVG, and what it says.

    Attributes:
        path: The line.
        axes: The lines of its axes.
        labels: Where each number of an axis stands, how it is anchored, and the number.
        caption: What it says.
        width: Of the box, in pixels.
        height: Of the box, in pixels.
    """

    path: str
    axes: str
    labels: tuple[tuple[float, float, str, str], ...]
    caption: str
    width: int = 252
    height: int = 74


def curve(losses: Sequence[float]) -> Curve | None:
    """Return the curve of a training loss; None where there was no step."""
    if not losses:
        return None
    top = max(max(losses), 1e-9)
    gap = 1 / max(1, len(losses) - 1)
    left, right, above, below = 34.0, 248.0, 6.0, 58.0
    points = [
        (left + (right - left) * place * gap, above + (below - above) * (1 - loss / top))
        for place, loss in enumerate(losses)
    ]
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    falls = sum(b < a for a, b in pairwise(losses))
    caption = (
        f"Loss {losses[0]:.2f} → {losses[-1]:.2f} nats per token over {len(losses)} steps, "
        f"falling in {falls} of {len(losses) - 1}"
    )
    axes = f"M{left} {above} V{below} H{right}"
    labels = (
        (left - 4, above + 4, "end", f"{top:.2f}"),
        (left - 4, below, "end", "0"),
        (left, below + 13, "start", "step 1"),
        (right, below + 13, "end", f"{len(losses)}"),
    )
    return Curve(path, axes, labels, caption)


def costs(steps: Sequence[Step]) -> dict[str, dict[str, float]]:
    """Return what steps cost: seconds by stage, and tokens in and out by stage."""
    seconds: dict[str, float] = {}
    tokens: dict[str, float] = {}
    for step in steps:
        for name, value in step.measures.items():
            if name.endswith("_s"):
                seconds[name.removesuffix("_s")] = seconds.get(name.removesuffix("_s"), 0) + value
            elif name.endswith("_tokens"):
                label = name.removesuffix("_tokens").replace("_", " ")
                tokens[label] = tokens.get(label, 0) + value
    return {"seconds": seconds, "tokens": tokens}


def matrix(norms: dict[str, float]) -> dict[str, list[tuple[int, float]]]:
    """Return norms of layers' updates as rows: module name -> (layer number, norm)."""
    rows: dict[str, list[tuple[int, float]]] = {}
    for name, norm in norms.items():
        number = re.search(r"\.(\d+)\.", name)
        module = name.rsplit(".", 1)[-1]
        rows.setdefault(module, []).append((int(number.group(1)) if number else 0, norm))
    return rows
