"""The rules: which words of some sentences answer a question, and how likely each is.

What a question asks for is told by its first words, as in the baselines of SQuAD (Rajpurkar et al.
2016, arXiv:1606.05250, section 5) and the sliding window of MCTest (Richardson et al. 2013): the
span of the asked kind wins whose sentence shares the rarest words with the question.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pmi_kernel.core.answers import FREE, AnswerForm
from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.core.spans import Span, names, numbers
from pmi_kernel.retrieval.base import words

_YES_NO = re.compile(
    r"(is|are|was|were|do|does|did|has|have|had|can|could|will|would)\b", re.IGNORECASE
)
_EITHER = re.compile(r"[,:]?\s+([^,:]+?),?\s+or\s+([^,:?]+)\?")
_YEAR = re.compile(r"\b(1\d{3}|20\d{2})\b")
_NUMBER_ASKED = re.compile(
    r"\b(when|what year|which year|how (many|much|old|long|tall|far))\b", re.I
)
_NAME_ASKED = re.compile(r"\b(who|whom|whose|where|which|in what)\b", re.IGNORECASE)
_LATER = frozenset("later last latest newer younger youngest recent recently".split())

_KIND_BONUS = 2.0
"""What being of the asked kind counts, in units of one rare word."""
_FAR = 0.02
"""What each character between a span and the question's words takes off."""
_ELSE_NATS = math.log(1e-4)
"""Log-probability of an answer that no rule would give."""
_MOST = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence that is known, with what it is about."""

    title: str
    sentence: str

    @property
    def text(self) -> str:
        """Both."""
        return f"{self.title}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer: the line that it is from, and its log-probability among all, in nats."""

    text: str
    line: Line
    logprob_nats: float


def candidates(question: str, lines: Sequence[Line], form: AnswerForm = FREE) -> list[Candidate]:
    """Return the answers that the lines give, likeliest first; none of no lines."""
    if not lines:
        return []
    scored = _scored(question, lines, form)
    best: dict[str, tuple[float, str, Line]] = {}
    for score, text, line in scored:
        key = normalize_answer(text)
        if key and (key not in best or score > best[key][0]):
            best[key] = score, text, line
    ranked = sorted(best.values(), key=lambda one: -one[0])
    total = math.log(sum(math.exp(score - ranked[0][0]) for score, *_ in ranked)) if ranked else 0.0
    return [Candidate(text, line, score - ranked[0][0] - total) for score, text, line in ranked]


def _scored(
    question: str, lines: Sequence[Line], form: AnswerForm
) -> list[tuple[float, str, Line]]:
    if form.options:
        return _options(question, lines, form)
    if form.allowed or _YES_NO.match(question):
        return _yes_or_no(question, lines)
    return _either(question, lines) or _spans(question, lines)


def logprob_nats(answer: str, found: Sequence[Candidate]) -> float:
    """Return an answer's log-probability among candidates, in nats; low where it is none."""
    wanted = normalize_answer(answer)
    own = [one.logprob_nats for one in found if normalize_answer(one.text) == wanted]
    return max([*own, _ELSE_NATS])


def _weights(question: str, lines: Sequence[Line]) -> dict[str, float]:
    """How much each word of the question tells one line from another: its inverse frequency."""
    counts = Counter(word for line in lines for word in set(words(line.text)))
    return {word: math.log((1 + len(lines)) / (0.5 + counts[word])) for word in words(question)}


def _overlap(line: Line, weights: dict[str, float]) -> float:
    return sum(weights.get(word, 0.0) for word in set(words(line.text)))


def _spans(question: str, lines: Sequence[Line]) -> list[tuple[float, str, Line]]:
    weights, asked = _weights(question, lines), set(words(question))
    is_number, is_name = _NUMBER_ASKED.search(question), _NAME_ASKED.search(question)
    found = []
    for line in lines:
        whole = Span(0, len(line.sentence), line.sentence)
        named = names(whole)
        kinds = [(span, not is_number) for span in named]
        kinds += [(span, bool(is_number) or not is_name) for span in numbers(whole, named)]
        kinds.append((Span(0, 0, line.title), not is_number))
        near = [
            m.start()
            for word in asked
            for m in re.finditer(re.escape(word), whole.text, re.IGNORECASE)
        ]
        for span, is_kind in kinds:
            if set(words(span.text)) <= asked:
                continue  # what the question says itself is not what it asks for
            gap = min((abs(place - span.start) for place in near), default=len(whole.text))
            score = _overlap(line, weights) + _KIND_BONUS * is_kind - _FAR * gap
            found.append((score, span.text, line))
    return found


def _yes_or_no(question: str, lines: Sequence[Line]) -> list[tuple[float, str, Line]]:
    """Yes, as far as the question's words stand in the lines."""
    asked = set(words(question))
    known = {word for line in lines for word in words(line.text)}
    share = len(asked & known) / max(1, len(asked))
    best = max(lines, key=lambda line: len(asked & set(words(line.text))))
    return [(4 * share, "yes", best), (4 * (1 - share), "no", best)]


def _options(
    question: str, lines: Sequence[Line], form: AnswerForm
) -> list[tuple[float, str, Line]]:
    """Each option, by the line in which its rare words stand with those of the question."""
    found = []
    for option, text in zip(form.options, form.allowed, strict=True):
        weights = _weights(f"{question} {option}", lines)
        score, place = max((_overlap(line, weights), -at) for at, line in enumerate(lines))
        found.append((score, text, lines[-place]))
    return found


def _either(question: str, lines: Sequence[Line]) -> list[tuple[float, str, Line]]:
    """Of two that are named, the earlier or later one by its year, or the one that is told more."""
    match = _EITHER.search(question)
    if match is None:
        return []
    options = [match[1].strip(), match[2].strip()]
    about = [
        max(lines, key=lambda line: len(set(words(line.text)) & set(words(option))))
        for option in options
    ]
    years = [_YEAR.search(line.sentence) for line in about]
    is_later = bool(_LATER & set(words(question)))
    scores = [_overlap(line, _weights(question, lines)) for line in about]
    if years[0] and years[1]:
        first_is_older = int(years[0][1]) <= int(years[1][1])
        scores = [3.0, 0.0] if first_is_older != is_later else [0.0, 3.0]
    return list(zip(scores, options, about, strict=True))


def best(found: Sequence[Candidate]) -> list[list[object]]:
    """Return the likeliest candidates as JSON: text and log-probability in nats."""
    return [[one.text, one.logprob_nats] for one in found[:_MOST]]
