"""One raw record, read field by field: what is wrong is said by file, record and field."""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pmi_kernel.core.answers import FREE, MOST_OPTIONS, AnswerForm, AnswerKind
from pmi_kernel.core.errors import DataError
from pmi_kernel.core.spans import sentences
from pmi_kernel.core.task import Example, Gold, Paragraph, SupportingFact, Task
from pmi_kernel.core.text import is_text, shown, texts
from pmi_kernel.data.decoding import decode_json
from pmi_kernel.data.limits import DataLimits

_NAMES = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}
_ID_CHARS = 16


class Fields:
    """The fields of a raw record.

    Args:
        record: What was decoded.
        where: File and record, for messages.
        limits: The most that a record may hold.

    Raises:
        DataError: It is no object, or one of its texts is not valid.
    """

    def __init__(self, record: object, where: str, limits: DataLimits) -> None:
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected an object, found {type(record).__name__}")
        self.record, self._where, self._limits = record, where, limits
        for field, value in record.items():
            self._check_text(field, [field, value])

    def __contains__(self, field: str) -> bool:
        return field in self.record

    def fail(self, field: str, problem: str) -> DataError:
        """Return the error that names a field."""
        return DataError(f"{self._where}, field {shown(field)}: {problem}")

    def _check_text(self, field: str, value: object) -> None:
        if not is_text("\n".join(texts(value))):
            wrong = next(text for text in texts(value) if not is_text(text))
            raise self.fail(
                field, f"{shown(wrong)} is not valid text: it holds half a surrogate pair"
            )

    def value(self, field: str, kind: type, default: Any = None) -> Any:
        """Return a value of a kind; the default where there is none and one is given."""
        value = self.record.get(field, default)
        if value is None:
            raise self.fail(field, "is missing")
        return self.typed(field, value, kind)

    def typed(self, field: str, value: object, kind: type, *, of: str = "") -> Any:
        """Return a value, or part of one (called `of`), if it is of a kind."""
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            name, found = _NAMES.get(kind, kind.__name__), type(value).__name__
            raise self.fail(field, f"{of and f'{of}: '}expected {name}, found {found}")
        return value

    def text(self, field: str, *, default: str | None = None) -> str:
        """Return a text, which is not blank unless there is a default."""
        text: str = self.value(field, str, default)
        if not text.strip() and default is None:
            raise self.fail(field, "is empty")
        return text

    def id(self, field: str) -> str:
        """Return an id that the record has: a text or a number."""
        value = self.record.get(field)
        if value is None:
            raise self.fail(field, "is missing")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.fail(field, f"expected a string or a number, found {type(value).__name__}")
        if not str(value).strip():
            raise self.fail(field, "is empty")
        return str(value)

    def content_id(self, prefix: str, *fields: str) -> str:
        """Return an id made of what some fields hold, the same wherever the record stands."""
        held = [self.record.get(field) for field in fields]
        told = json.dumps(held, ensure_ascii=False, sort_keys=True)
        return f"{prefix}-{hashlib.sha256(told.encode()).hexdigest()[:_ID_CHARS]}"

    def items(self, field: str, kind: type = str, *, least: int = 1) -> list[Any]:
        """Return a list of values of one kind, of which texts are not blank."""
        found: list[Any] = self.value(field, list)
        if len(found) < least:
            raise self.fail(field, f"expected a list of at least {least}, found {len(found)}")
        for number, item in enumerate(found, start=1):
            self.typed(field, item, kind, of=f"item {number}")
            if kind is str and not item.strip():
                raise self.fail(field, f"item {number} is empty")
        return found

    def answers(self, field: str) -> tuple[str, ...]:
        """Return accepted answers, a text or a list; blank ones beside others are left out."""
        value = self.record.get(field)
        if value is None:
            raise self.fail(field, "is missing (a file without answers cannot be evaluated)")
        if isinstance(value, str):
            return (self.text(field),)
        for number, item in enumerate(self.value(field, list), start=1):
            self.typed(field, item, str, of=f"item {number}")
        found = dict.fromkeys(answer for answer in value if answer.strip())
        if not found:
            raise self.fail(field, "expected a list of at least one string that is not empty")
        return tuple(found)

    def decoded(self, field: str) -> "Fields":
        """Return the same record with a field's text, which is JSON, decoded."""
        try:
            value = decode_json(self.text(field))
        except ValueError as error:
            raise self.fail(field, f"not a JSON text ({error})") from None
        return Fields({**self.record, field: value}, self._where, self._limits)

    def choice(self, options: Sequence[str], answer: str, field: str) -> tuple[AnswerForm, str]:
        """Return the form of a choice, and the right option's text by its letter or that text."""
        if len(options) < 2 or len(options) > MOST_OPTIONS:
            raise self.fail(field, f"expected 2 to {MOST_OPTIONS} options, found {len(options)}")
        form = AnswerForm(AnswerKind.CHOICE, tuple(options))
        if answer in options:
            return form, answer
        given = form.read(answer)
        if given is None:
            letters = f"A to {form.allowed[-1][0]}"
            raise self.fail(
                field, f"{shown(answer)} is no letter ({letters}) and the text of no option"
            )
        return form, options[form.allowed.index(given)]

    def label(self, kind: AnswerKind, answer: str, field: str) -> tuple[AnswerForm, str]:
        """Return the form of a label and the label that an answer is, in any case."""
        form = AnswerForm(kind)
        if (label := answer.strip().lower().rstrip(".")) not in form.allowed:
            raise self.fail(field, f"expected {' or '.join(form.allowed)}, found {shown(answer)}")
        return form, label

    def sized(self, field: str, context: Sequence[Paragraph]) -> tuple[Paragraph, ...]:
        """Return the paragraphs of a field, if they are within the limits."""
        if len(context) > self._limits.paragraphs:
            raise self.fail(field, self._limits.over("paragraphs"))
        if sum(len(paragraph.sentences) for paragraph in context) > self._limits.sentences:
            raise self.fail(field, self._limits.over("sentences"))
        return tuple(context)

    def example(
        self,
        id_: str,
        question: str,
        answers: Sequence[str],
        *,
        context: tuple[Paragraph, ...] = (),
        facts: Sequence[SupportingFact] = (),
        form: AnswerForm = FREE,
        metric: str = "hotpotqa",
        type: str = "",
        titles: Sequence[str] = (),
    ) -> Example:
        """Return an example of what was read."""
        task = Task(id_, question, context, form)
        gold = Gold(tuple(answers), tuple(facts), titles=tuple(titles))
        return Example(task, gold, type=type, metric=metric)


def prose(title: str, text: str) -> Paragraph:
    """Return a paragraph of a text that its layout does not split: in its sentences, all of it."""
    stops = [*(span.stop for span in sentences(text)[:-1]), len(text)]
    return Paragraph(title, tuple(text[a:b] for a, b in pairwise((0, *stops))))


def text_of(paragraph: Paragraph) -> str:
    """Return a paragraph's text, that which `prose` was made of."""
    if all(sentence[:1].isspace() for sentence in paragraph.sentences[1:]):
        return "".join(paragraph.sentences)
    return paragraph.text


def facts(paragraph: Paragraph) -> list[SupportingFact]:
    """Return every sentence of a paragraph as a gold one."""
    return [SupportingFact(paragraph.title, place) for place in range(len(paragraph.sentences))]
