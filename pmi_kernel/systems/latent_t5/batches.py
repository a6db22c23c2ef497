"""Texts as padded tensors."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pmi_kernel.core.task import Example, Paragraph, Task, titled

NO_LABEL = -100
"""What is no token of an answer."""


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
    asked = _runs(example.task.question)

    def alike(place: int) -> tuple[int, int]:
        paragraph = context[place]
        return -len(asked & _runs(paragraph.title)), -len(asked & _runs(paragraph.text))

    places = [at for at, one in enumerate(context) if one.title in related]
    others = [at for at, one in enumerate(context) if one.title not in related]
    kept = {*places, *sorted(others, key=alike)[: max(0, most - len(places))]}
    return tuple(one for at, one in enumerate(context) if at in kept)


def _runs(text: str) -> set[str]:
    letters = f" {text.lower()}"  # a word's beginning is a run too
    return {letters[at : at + 4] for at in range(len(letters) - 3)}
