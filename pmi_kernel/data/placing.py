"""A question's documents in another order: the gold ones at a place, or all as a seed draws."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pmi_kernel.core.task import Example, Paragraph


def placed(example: Example, most: int | None, place: int) -> Example:
    """Return a question with its gold documents together, from a place (0 the first) on.

    Args:
        example: The question; its gold documents are taken, and the first others.
        most: Documents, gold ones in any case; None for all.
        place: Where the gold ones begin, or as far back as there are others.
    """
    gold, others = _parted(example, most)
    return _with(example, [*others[:place], *gold, *others[place:]])


def kept(example: Example, most: int | None) -> Example:
    """Return a question with so many of its documents (see `placed`), in their own order."""
    gold, others = _parted(example, most)
    return _with(example, [one for one in example.task.context if one in gold or one in others])


def shuffled(example: Example, most: int | None, seed: int) -> Example:
    """Return a question with so many of its documents (see `placed`), as a seed draws them."""
    gold, others = _parted(example, most)
    documents = [*gold, *others]
    Random(f"placed/{seed}/{example.task.id}").shuffle(documents)
    return _with(example, documents)


def _parted(example: Example, most: int | None) -> tuple[list[Paragraph], list[Paragraph]]:
    context, titles = example.task.context, example.gold.passages
    gold = [one for one in context if one.title in titles]
    others = [one for one in context if one.title not in titles]
    return gold, others if most is None else others[: max(0, most - len(gold))]


def _with(example: Example, documents: Sequence[Paragraph]) -> Example:
    return replace(example, task=replace(example.task, context=tuple(documents)))
