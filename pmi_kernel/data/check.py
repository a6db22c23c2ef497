"""What is in a data source, and what is wrong with it."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.core.errors import DataError
from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import shown
from pmi_kernel.data.questions import QuestionFile
from pmi_kernel.data.sets import split_named
from pmi_kernel.data.sources import open_file, read_any, resolve_source

_LISTED = 20


@dataclass(frozen=True, slots=True)
class DataReport:
    """What `pmi data check` says of a data source.

    Attributes:
        source: The file or the settings.
        sha256: As `data_hash`.
        layout: The file's layout; empty where it is not read from a file.
        num_examples: Valid examples.
        num_expected: How many the official file has, where a set is named and that is known.
        metrics: Count by official metric.
        forms: Count by answer kind.
        types: Count by question type.
        levels: Count by level.
        answer_kinds: Count of yes/no answers, of spans that stand in the context, and of others.
        paragraphs: Fewest, median and most paragraphs of a question.
        num_words: Words of all paragraphs.
        missing: The file that its layout has beside it and that is not there; mostly empty.
        twice: One line for each record that says the same as one before it.
        problems: One line for each invalid record.
    """

    source: str
    sha256: str
    layout: str
    num_examples: int
    num_expected: int | None
    metrics: dict[str, int]
    forms: dict[str, int]
    types: dict[str, int]
    levels: dict[str, int]
    answer_kinds: dict[str, int]
    paragraphs: tuple[int, float, int]
    num_words: int
    missing: str
    twice: tuple[str, ...]
    problems: tuple[str, ...]

    def render(self) -> str:
        """Return the report as lines of text."""
        low, middle, high = self.paragraphs
        expected = ""
        if self.num_expected not in (None, self.num_examples):
            expected = f" (the official file has {self.num_expected:,})"
        lines = [
            f"{self.source}: {self.num_examples} valid examples{expected}, "
            f"{len(self.problems)} invalid",
            f"  sha256      {self.sha256}",
            *([f"  layout      {self.layout}"] if self.layout else []),
            f"  kinds       {_counts(self.forms)}",
            f"  metric      {_counts(self.metrics)}",
            f"  types       {_counts(self.types)}",
            f"  levels      {_counts(self.levels)}",
            f"  answers     {_counts(self.answer_kinds)}",
            f"  paragraphs  {low} to {high} a question, median {middle:g}",
            f"  words       {self.num_words}",
            *([f"  missing: {self.missing} beside it, with aliases"] if self.missing else []),
            *_listed("twice", self.twice),
            *_listed("invalid", self.problems),
        ]
        return "\n".join(lines)


def _listed(name: str, lines: tuple[str, ...]) -> list[str]:
    more = [f"  and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return [*(f"  {name}: {line}" for line in lines[:_LISTED]), *more]


def describe(source: str | Path) -> DataReport:
    """Return a report on a data source; invalid records are listed, not fatal.

    Raises:
        DataError: The settings are not right, or the file is missing or cannot be read to its end.
    """
    digest, file = hashlib.sha256(), open_file(source)
    counts = {name: Counter[str]() for name in ("metric", "form", "type", "level", "answer")}
    problems: list[str] = []
    sizes: list[int] = []
    num_words = 0
    for _, found in read_any(source, file, watch=digest.update):
        if isinstance(found, DataError):
            problems.append(str(found))
            continue
        task = found.task
        counts["metric"][found.metric] += 1
        counts["form"][task.form.kind] += 1
        counts["type"][found.type] += 1
        counts["level"][found.level] += 1
        counts["answer"][_answer_kind(found)] += 1
        sizes.append(len(task.context))
        num_words += sum(len(paragraph.text.split()) for paragraph in task.context)
    return DataReport(
        source=resolve_source(str(source)),
        sha256=digest.hexdigest(),
        layout=file.layout.name if file and file.layout else "",
        num_examples=len(sizes),
        num_expected=_num_expected(str(source), file),
        metrics=dict(counts["metric"]),
        forms=dict(counts["form"]),
        types=dict(counts["type"]),
        levels=dict(counts["level"]),
        answer_kinds=dict(counts["answer"]),
        paragraphs=(min(sizes, default=0), median(sizes or [0]), max(sizes, default=0)),
        num_words=num_words,
        missing=file.missing if file else "",
        twice=tuple(file.twice) if file else (),
        problems=tuple(problems),
    )


def _num_expected(source: str, file: QuestionFile | None) -> int | None:
    """How many records the official file has that a set's name stands for."""
    if (found := split_named(source)) is None or file is None:
        return None
    split = found[0].splits[found[1]]
    return split.num_records if file.path.name == split.file else None


def _answer_kind(example: Example) -> str:
    if example.task.form.kind is AnswerKind.CHOICE:
        return f"one of {len(example.task.form.options)}"
    if not example.task.context:
        return "no context"
    gold = normalize_answer(example.gold.answers[0])
    if gold in ("yes", "no"):
        return gold
    texts = (normalize_answer(f"{p.title} {p.text}") for p in example.task.context)
    return "span in context" if any(gold in text for text in texts) else "not in context"


def _counts(counts: dict[str, int]) -> str:
    words = [f"{_plain(name)} {number}" for name, number in sorted(counts.items())]
    more = [f"and {len(words) - _LISTED} more"] if len(words) > _LISTED else []
    return ", ".join([*words[:_LISTED], *more]) or "-"


def _plain(name: str) -> str:
    return (name if name.isprintable() else shown(name)) or "(none)"
