"""What a layout is: how a record becomes an example, and an example a record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import shown
from pmi_kernel.data.layouts.fields import Fields

Record = dict[str, object]
"""A raw record."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which questions are written.

    Attributes:
        name: What it is called.
        fields: The fields that matter, as they are told to a reader.
        marks: Fields by which it is recognised: any of these sets.
        parse: Returns a record's example, with the layout's own answer kind and metric.
        write: Returns an example's record.
        kinds: The answers that it can hold.
        id_field: The field that holds an id; empty where the id is made of the content.
        suffix: How its official files end.
        beside: A file that official ones need beside them; empty for none.
    """

    name: str
    fields: str
    marks: tuple[tuple[str, ...], ...]
    parse: Callable[[Fields], Example]
    write: Callable[[Example], Record]
    kinds: tuple[AnswerKind, ...] = (AnswerKind.FREE,)
    id_field: str = ""
    suffix: str = ".jsonl"
    beside: str = ""

    def is_of(self, record: Mapping[str, object]) -> bool:
        """Whether a record has the fields that mark this layout."""
        return bool(self.mark_of(record))

    def mark_of(self, record: Mapping[str, object]) -> str:
        """Return a field that marks a record as of this layout; empty where it is not."""
        found = (mark for mark in self.marks if all(field in record for field in mark))
        return next((mark[0] for mark in found), "")


def unfit(example: Example, problem: str) -> DataError:
    """Return the error that says why an example has no place in a layout."""
    return DataError(f"question {shown(example.task.id)} {problem}")
