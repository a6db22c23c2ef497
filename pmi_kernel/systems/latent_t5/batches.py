"""Texts as padded tensors."""

from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pmi_kernel.core.task import Example, Paragraph, Task, titled

NO_LABEL = -100
"""What is no token of an answer."""
_NAMED_AMONG, _NAMED_SENTENCES = 3, 2


def padded(
    rows: Sequence[Sequence[int]], fill: int, device: torch.device
) -> tuple[Int[Tensor, "rows tokens"], Bool[Tensor, "rows tokens"]]:
    """Return rows of tokens as one tensor, at least one column wide, and which of it they are."""
    width = max(1, *map(len, rows))
    ids = torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], device=device)
    sizes = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(width, device=device) < sizes[:, None]


def tokens(tokenizer: Any, texts: Sequence[str], most: int) -> tuple[list[list[int]], int]:
    """Return texts as tokens that end as the tokenizer ends a text, and how many were cut off."""
    found = tokenizer(list(texts), return_attention_mask=False)["input_ids"]
    kept = [row if len(row) <= most else [*row[: most - 1], row[-1]] for row in found]
    return kept, sum(map(len, found)) - sum(map(len, kept))


def question_text(task: Task) -> str:
    """Return a question as T5 reads it, with what may be answered where that is limited."""
    allowed = task.form.allowed
    options = f" options: {' '.join(allowed)}" if allowed else ""
    return f"question: {task.question}{options}"


def context_text(context: Sequence[Paragraph]) -> str:
    """Return a context as T5 reads it, without the question."""
    return "context: " + " ".join(titled(one.title, one.text) for one in context)


def gold_text(example: Example) -> str:
    """Return the answer that is trained."""
    return example.task.form.given(example.gold.answers[0])


def trimmed(example: Example, most: int | None) -> tuple[Paragraph, ...]:
    """Return a context's supporting paragraphs and the most confusing others, in their order.

    Those are the ones whose titles, and then texts, are spelled most like the question (in runs of
    four letters); so a small context is not an easy one.

    Args:
        example: Whose.
        most: Paragraphs, supporting ones in any case; None for all.
    """
    context, related = example.task.context, example.gold.passages
    if most is None or len(context) <= most:
        return context
    places = [at for at, one in enumerate(context) if one.title in related]
    others = [at for at, one in enumerate(context) if one.title not in related]
    confusing = sorted(others, key=lambda at: _unlike(example.task.question, context[at]))
    kept = {*places, *confusing[: max(0, most - len(places))]}
    return tuple(one for at, one in enumerate(context) if at in kept)


def named(example: Example, draw: Random) -> tuple[Paragraph, tuple[Paragraph, ...]] | None:
    """Return a few sentences of one paragraph, and the same among those of others with like titles.

    Args:
        example: Whose; None is returned where its context has no sentence.
        draw: Which of them.
    """
    there = [one for one in example.task.context if one.sentences]
    if not there:
        return None
    wanted = draw.choice(there)
    others = sorted(
        (one for one in there if one.title != wanted.title),
        key=lambda one: _unlike(wanted.title, one),
    )
    kept = [wanted, *others[: draw.randrange(_NAMED_AMONG)]]
    short = []
    for paragraph in kept:
        first = draw.randrange(len(paragraph.sentences))
        sentences = paragraph.sentences[first : first + _NAMED_SENTENCES]
        short.append(Paragraph(paragraph.title, sentences))
    order = draw.sample(short, len(short))
    return short[0], tuple(order)


def _unlike(text: str, paragraph: Paragraph) -> tuple[int, int]:
    """Smaller, the more a paragraph's title, and then its text, is spelled like a text."""
    runs = _runs(text)
    return -len(runs & _runs(paragraph.title)), -len(runs & _runs(paragraph.text))


def _runs(text: str) -> set[str]:
    letters = f" {text.lower()}"  # a word's beginning is a run too
    return {letters[at : at + 4] for at in range(len(letters) - 3)}
