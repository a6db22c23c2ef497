"""HotpotQA's official layout: `.json` (one array) or `.jsonl`, plain or gzipped.

A record has `_id, question, answer, type, level, supporting_facts, context`; `context` is a list
of `[title, [sentence, ...]]`, `supporting_facts` of `[title, sentence index]`. `answers`, a list,
may stand for `answer` where several are accepted; `known`, which may be absent, is `Gold.known`.
The official files hold some sentence indices beyond their paragraph's end, which are kept as they
are.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example, Gold, Paragraph, SupportingFact, Task
from pmi_kernel.core.text import is_text, shown, texts
from pmi_kernel.data.limits import DataLimits


def parse_example(record: object, where: str, limits: DataLimits) -> Example:
    """Return the example of one raw record.

    Raises:
        DataError: The record is invalid or over a limit; names `where` and the field.
    """
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected an object, found {type(record).__name__}")

    def fail(field: str, problem: str) -> DataError:
        return DataError(f"{where}, field {shown(field)}: {problem}")

    for field, value in record.items():
        if not is_text("\n".join(texts([field, value]))):
            wrong = next(text for text in texts([field, value]) if not is_text(text))
            raise fail(field, f"{shown(wrong)} is not valid text: it holds half a surrogate pair")

    def text(field: str, *, default: str | None = None) -> str:
        value = record.get(field, default)
        if value is None:
            raise fail(field, "is missing")
        if not isinstance(value, str):
            raise fail(field, f"expected a string, found {type(value).__name__}")
        if not value.strip() and default is None:
            raise fail(field, "is empty")
        return value

    context = tuple(_paragraphs(record.get("context"), fail))
    if len(context) > limits.paragraphs:
        raise fail("context", limits.over("paragraphs"))
    if sum(len(paragraph.sentences) for paragraph in context) > limits.sentences:
        raise fail("context", limits.over("sentences"))
    titles = {paragraph.title for paragraph in context}
    facts = []
    listed = record.get("supporting_facts", [])
    if not isinstance(listed, list):
        raise fail("supporting_facts", f"expected a list, found {type(listed).__name__}")
    for number, fact in enumerate(listed, start=1):
        match fact:
            case [str(title), int(sentence)] if sentence >= 0 and not isinstance(sentence, bool):
                if title not in titles:
                    raise fail(
                        "supporting_facts", f"item {number}: no paragraph is called {shown(title)}"
                    )
                facts.append(SupportingFact(title, sentence))
            case _:
                raise fail(
                    "supporting_facts",
                    f"item {number}: expected [title, index], found {shown(fact)}",
                )
    if "answers" in record:
        answers = record["answers"]
        if not isinstance(answers, list) or not answers:
            raise fail("answers", "expected a list of at least one string")
        if not all(isinstance(answer, str) and answer.strip() for answer in answers):
            raise fail("answers", "expected strings that are not empty")
    elif "answer" not in record:
        raise fail("answer", "is missing (a file without answers cannot be evaluated)")
    else:
        answers = [text("answer")]
    return Example(
        Task(text("_id"), text("question"), context),
        Gold(tuple(answers), tuple(facts), text("known", default="")),
        type=text("type", default=""),
        level=text("level", default=""),
    )


def _paragraphs(value: object, fail: Callable[[str, str], DataError]) -> Iterator[Paragraph]:
    if value is None:
        raise fail("context", "is missing")
    if not isinstance(value, list) or not value:
        raise fail("context", "expected a list of at least one paragraph")
    for number, item in enumerate(value, start=1):
        match item:
            case [str(title), [*sentences]] if all(isinstance(s, str) for s in sentences):
                if not any(sentence.strip() for sentence in sentences):
                    raise fail("context", f"paragraph {number} ({shown(title)}) is empty")
                yield Paragraph(title, tuple(sentences))
            case _:
                raise fail("context", f"paragraph {number}: expected [title, [sentence, ...]]")


def render_examples(examples: Sequence[Example], *, is_lines: bool = False) -> str:
    """Return examples in the official layout: one JSON array, or one record a line."""
    records = [json.dumps(to_record(example), ensure_ascii=False) for example in examples]
    if is_lines:
        return "".join(f"{record}\n" for record in records)
    return "[\n" + ",\n".join(records) + "\n]\n"


def write_examples(examples: Sequence[Example], path: Path) -> None:
    """Write examples in the official layout, whole or not at all; `.json` or `.jsonl`.

    Raises:
        ValueError: The path ends otherwise.
        DataError: It cannot be written.
    """
    if path.suffix not in (".json", ".jsonl"):
        raise ValueError(f"{path}: expected a .json or .jsonl file")
    text = render_examples(examples, is_lines=path.suffix == ".jsonl")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name[:100])
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            os.unlink(partial)
            raise
    except OSError as error:
        raise DataError(f"{shown(str(path))}: cannot be written ({error.strerror})") from None


def to_record(example: Example) -> dict[str, object]:
    """Return the raw record of an example."""
    answers, known = example.gold.answers, example.gold.known
    return {
        "_id": example.task.id,
        "question": example.task.question,
        **({"answer": answers[0]} if len(answers) == 1 else {"answers": list(answers)}),
        **({"known": known} if known else {}),
        "type": example.type,
        "level": example.level,
        "supporting_facts": [[f.title, f.sentence] for f in example.gold.supporting_facts],
        "context": [[p.title, list(p.sentences)] for p in example.task.context],
    }
