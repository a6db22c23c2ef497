"""What is in a data source, and what is wrong with it."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import shown
from pmi_kernel.data.limits import DataLimits
from pmi_kernel.data.passages import parse_record
from pmi_kernel.data.sources import raw_records, resolve_source

_LISTED = 20


@dataclass(frozen=True, slots=True)
class DataReport:
    """What `pmi data check` says of a data source.

    Attributes:
        source: The file or the settings.
        sha256: As `data_hash`.
        num_examples: Valid examples.
        types: Count by question type.
        levels: Count by level.
        answer_kinds: Count of yes/no answers, of spans that stand in the context, and of others.
        paragraphs: Fewest, median and most paragraphs of a question.
        num_words: Words of all paragraphs.
        problems: One line for each invalid record.
    """

    source: str
    sha256: str
    num_examples: int
    types: dict[str, int]
    levels: dict[str, int]
    answer_kinds: dict[str, int]
    paragraphs: tuple[int, float, int]
    num_words: int
    problems: tuple[str, ...]

    def render(self) -> str:
        """Return the report as lines of text."""
        low, middle, high = self.paragraphs
        lines = [
            f"{self.source}: {self.num_examples} valid examples, {len(self.problems)} invalid",
            f"  sha256      {self.sha256}",
            f"  types       {_counts(self.types)}",
            f"  levels      {_counts(self.levels)}",
            f"  answers     {_counts(self.answer_kinds)}",
            f"  paragraphs  {low} to {high} a question, median {middle:g}",
            f"  words       {self.num_words}",
            *(f"  invalid: {problem}" for problem in self.problems[:_LISTED]),
        ]
        if len(self.problems) > _LISTED:
            lines.append(f"  and {len(self.problems) - _LISTED} more")
        return "\n".join(lines)


def describe(source: str | Path) -> DataReport:
    """Return a report on a data source; invalid records are listed, not fatal.

    Raises:
        DataError: The settings are not right, or the file is missing or cannot be read to its end.
    """
    limits, digest = DataLimits.from_environment(), hashlib.sha256()
    examples: list[Example] = []
    problems: list[str] = []
    seen: set[str] = set()
    for where, record in raw_records(source, limits, watch=digest.update):
        try:
            example = parse_record(record, where, limits)
        except DataError as error:
            problems.append(str(error))
            continue
        if example.task.id in seen:
            problems.append(f"{where}, field '_id': {shown(example.task.id)} stands there twice")
            continue
        seen.add(example.task.id)
        examples.append(example)
    sizes = [len(example.task.context) for example in examples] or [0]
    return DataReport(
        source=resolve_source(str(source)),
        sha256=digest.hexdigest(),
        num_examples=len(examples),
        types=dict(Counter(example.type for example in examples)),
        levels=dict(Counter(example.level for example in examples)),
        answer_kinds=dict(Counter(_answer_kind(example) for example in examples)),
        paragraphs=(min(sizes), median(sizes), max(sizes)),
        num_words=sum(len(p.text.split()) for e in examples for p in e.task.context),
        problems=tuple(problems),
    )


def _answer_kind(example: Example) -> str:
    gold = normalize_answer(example.gold.answers[0])
    if gold in ("yes", "no"):
        return gold
    texts = (normalize_answer(f"{p.title} {p.text}") for p in example.task.context)
    return "span in context" if any(gold in text for text in texts) else "not in context"


def _counts(counts: dict[str, int]) -> str:
    words = [f"{_plain(name)} {number}" for name, number in sorted(counts.items())]
    more = [f"and {len(words) - _LISTED} more"] if len(words) > _LISTED else []
    return ", ".join([*words[:_LISTED], *more])


def _plain(name: str) -> str:
    return (name if name.isprintable() else shown(name)) or "(none)"
