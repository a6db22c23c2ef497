"""What a data set is: where it is from, how it is laid out, answered and scored, how it is got."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pmi_kernel.core.answers import AnswerForm, AnswerKind
from pmi_kernel.core.errors import DataError
from pmi_kernel.core.places import fetched_dir
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import shown

SPLITS = ("dev", "train")
"""Splits that a set may have: what is evaluated on, and what is trained on."""

_OWN_LAYOUTS = ("augmented", "workbench")
"""Layouts that any set's questions may be in."""


@dataclass(frozen=True, slots=True)
class Split:
    """One official file of a set.

    Attributes:
        file: Its name.
        num_records: How many records it holds; None where that is not known.
        url: Its public address; empty where a person has to get it.
    """

    file: str
    num_records: int | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set.

    Attributes:
        name: What it is called everywhere.
        domain: general, medicine, law or own.
        layouts: Its official layouts; the augmented one holds any set.
        kind: How its questions are answered.
        metric: Its official metric, a name of `core.scoring.METRICS`.
        splits: Its official files.
        index: The corpus index that its passages are searched in; empty where its questions have
            paragraphs of their own.
        source: Where it is published.
        licence: Under what.
        how: What a person has to do to get it, where it has no public address; `{folder}` is where
            it is to be put.
    """

    name: str
    domain: str
    layouts: tuple[str, ...]
    kind: AnswerKind
    metric: str
    splits: Mapping[str, Split]
    source: str
    licence: str
    index: str = ""
    how: str = ""

    @property
    def folder(self) -> Path:
        """Where its files are; see `fetched_dir`."""
        return fetched_dir(self.name)

    def path(self, split: str) -> Path:
        """Return a split's file: the official one, else `dev.json`, `train.jsonl` and so on.

        It need not be there.
        """
        official = self.folder / self.splits[split].file
        names = (f"{split}.json", f"{split}.jsonl")
        there = (path for name in names if (path := self.folder / name).is_file())
        return official if official.is_file() else next(there, official)

    def to_get(self) -> str:
        """Return what to do to have its files."""
        if self.how:
            how = self.how.format(folder=self.folder)
            return f"{how}; then `pmi data fetch {self.name}` checks it"
        return f"run `pmi data fetch {self.name}`"

    def admits(self, layout: str) -> bool:
        """Whether the set's questions may be in a layout."""
        return layout in (*self.layouts, *_OWN_LAYOUTS)

    def cast(self, example: Example, where: str) -> Example:
        """Return a question as one of the set's: answered and scored as the set has it.

        Args:
            example: The question, as its layout alone tells it.
            where: File and record, for messages.

        Raises:
            DataError: Its answer is none of the set's kind.
        """
        form, answer = example.task.form, example.gold.answers[0]
        if form.kind is AnswerKind.FREE and self.kind in (
            AnswerKind.YES_NO,
            AnswerKind.YES_NO_MAYBE,
        ):
            form = AnswerForm(self.kind)
            answer = answer.strip().lower().rstrip(".")
            if answer not in form.allowed:
                raise DataError(
                    f"{where}, field 'answer': expected {' or '.join(form.allowed)} in "
                    f"{self.name}, found {shown(example.gold.answers[0])}"
                )
            example = replace(
                example,
                task=replace(example.task, form=form),
                gold=replace(example.gold, answers=(answer,)),
            )
        is_label = form.allowed and self.kind is AnswerKind.YES_NO_MAYBE
        if form.kind is not self.kind and not (is_label and form.kind is AnswerKind.YES_NO):
            field = "choices" if self.kind is AnswerKind.CHOICE else "answer"
            raise DataError(
                f"{where}, field {field!r}: {self.name} is answered by {_KINDS[self.kind]}, and "
                f"this question by {_KINDS[form.kind]}"
            )
        return replace(example, metric=self.metric)


_KINDS = {
    AnswerKind.FREE: "free text",
    AnswerKind.YES_NO: "yes or no",
    AnswerKind.YES_NO_MAYBE: "yes, no or maybe",
    AnswerKind.CHOICE: "a choice among options",
}
