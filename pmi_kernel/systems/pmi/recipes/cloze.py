"""Sentences as questions: what the model can guess least of each is asked for.

As salient span masking (REALM, Guu et al. 2020, arXiv:2002.08909, section 3.4), but a span is as
salient as the model itself finds it: by its surprisal in the text, in nats. What the whole text is
about is never asked for, as it says which fact is meant.
"""

import re
from collections import Counter
from dataclasses import dataclass

from pmi_kernel.core.spans import Span, find_all, names, numbers, sentences, touch
from pmi_kernel.engines.base import Adapter, Engine, Lesson
from pmi_kernel.prompting.messages import Message
from pmi_kernel.systems.pmi.recipes.writer import Writer

_WORD = re.compile(r"[a-z][\w'’-]{3,}")
_READ = (Message("user", "Tell me something."),)
"""What the text is a reply to while it is read for its surprisal."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A sentence with a span left out.

    Attributes:
        question: The sentence with `what` in the span's place, or `who` where that is likelier.
        answer: The span.
        surprisal_nats: How little the model expected it.
    """

    question: str
    answer: str
    surprisal_nats: float


def lessons(writer: Writer, text: Lesson) -> list[Lesson]:
    """Return the gaps as pairs; a text without a sentence has none."""
    found = gaps(writer.engine, text.text, most=writer.num_lines, adapter=writer.adapter)
    return [writer.pair(gap.question, gap.answer) for gap in found]


def gaps(
    engine: Engine, text: str, *, most: int, adapter: Adapter | None = None
) -> tuple[Gap, ...]:
    """Return the gaps of a text in its order: one of every sentence first, then the next best.

    A gap is a name or a number; of a sentence that has none but its topic, one of its longer words.

    Args:
        engine: Says how surprising each span is, and which question is the likelier.
        text: Plain sentences.
        most: Most gaps.
        adapter: The memory in force.

    Raises:
        EngineError: As `Engine.score`.
    """
    found = sentences(text)
    if not found:
        return ()
    surprisal = _by_character(engine, text, adapter)
    counts = Counter(name for s in found for name in {n.text for n in names(s)})
    ranked: list[tuple[int, float, Span, Span]] = []
    for sentence in found:
        named = names(sentence)
        topic = max(named, key=lambda name: counts[name.text], default=None)
        about = [name for name in named if topic and name.text == topic.text]
        salient = [*named, *numbers(sentence, named)]
        salient = [span for span in salient if not any(touch(span, name) for name in about)]
        words = find_all(_WORD, sentence)
        spans = salient or [w for w in words if not any(touch(w, name) for name in named)]
        by_nats = [(sum(surprisal[span.start : span.stop]), span) for span in spans]
        by_nats.sort(key=lambda pair: -pair[0])
        del by_nats[len(salient) or 1 :]
        ranked += [(place, -nats, sentence, span) for place, (nats, span) in enumerate(by_nats)]
    chosen = sorted(ranked, key=lambda gap: gap[:2])[:most]
    return tuple(
        Gap(_ask(engine, sentence, span, adapter), span.text, -nats)
        for _, nats, sentence, span in sorted(chosen, key=lambda gap: gap[3].start)
    )


def _by_character(engine: Engine, text: str, adapter: Adapter | None) -> list[float]:
    """The surprisal of each token at the character where it begins; 0 at the others."""
    score = engine.score(_READ, text, adapter=adapter)
    found, at = [0.0] * len(text), 0
    for piece, logprob in zip(score.tokens, score.logprobs_nats, strict=True):
        start = text.find(piece.strip(), at)
        if start >= 0:  # a piece of a character is not found, and counts where the last one ended
            at = start
        found[at] -= logprob
        at = min(at + (len(piece.strip()) if start >= 0 else 0), len(text) - 1)
    return found


def _ask(engine: Engine, sentence: Span, gap: Span, adapter: Adapter | None) -> str:
    before = sentence.text[: gap.start - sentence.start]
    after = sentence.text[gap.stop - sentence.start :].rstrip(" .!?")
    asked = [f"{before}{word}{after}?" for word in ("what", "who")]
    asked = [question[0].upper() + question[1:] for question in asked]
    if not gap.text[0].isupper():
        return asked[0]
    return max(asked, key=lambda q: sum(engine.score(_READ, q, adapter=adapter).logprobs_nats))
