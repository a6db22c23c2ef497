"""Questions as retrievable gradients' authors write them, with the passages that a search found.

The augmented file is one JSON array; a record has `test_id, question, answer, passages, choices`:
`answer` is a string or a list of accepted ones, `passages` a list of strings, best first (none
before a search), `choices` the options where there are some. Passage i becomes a paragraph that is
called `Passage i`, so that what is learned of it reads `Passage i: ...`, as theirs does. Where the
record says in `found` which title stands in a passage's first line (`retrieval.augment` writes it),
the paragraph is called by this.

Before a search their questions are JSON lines of `question answer`, or `question choices answer`
(CaseHOLD), without an id.
"""

import re
from itertools import count

from pmi_kernel.core.answers import FREE, AnswerKind
from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.data.layouts.fields import Fields, prose, text_of
from pmi_kernel.data.layouts.layout import Layout, Record

FOUND = "found"
"""Our own field: for each passage its id, title and score."""

_DECISION = re.compile(r"the final decision is:?\s*(yes|no|maybe)\W*$", re.IGNORECASE)


def _parse(fields: Fields) -> Example:
    return _question(fields, fields.id("test_id"), _passages(fields))


def _passages(fields: Fields) -> tuple[Paragraph, ...]:
    if "passages" not in fields:
        return ()
    told = fields.items("passages")
    titles = fields.record.get(FOUND)
    titles = titles if isinstance(titles, list) and len(titles) == len(told) else [None] * len(told)
    return fields.sized(
        "passages", [_paragraph(*one) for one in zip(count(1), told, titles, strict=False)]
    )


def _paragraph(number: int, text: str, found: object) -> Paragraph:
    """A passage; called by its first line, where that is said to be its title."""
    title, newline, rest = text.partition("\n")
    if newline and rest.strip() and isinstance(found, dict) and found.get("title") == title:
        return prose(title, rest)
    return prose(f"Passage {number}", text)


def _question(fields: Fields, id_: str, context: tuple[Paragraph, ...] = ()) -> Example:
    """A question: a choice where it has choices, a label where it ends in a decision, else free."""
    answers, form, metric = fields.answers("answer"), FREE, "hotpotqa"
    if "choices" in fields:
        form, answer = fields.choice(fields.items("choices"), answers[0], "answer")
        answers, metric = (answer,), "labels"
    elif found := _DECISION.search(answers[0]):
        form, answer = fields.label(AnswerKind.YES_NO_MAYBE, found[1], "answer")
        answers, metric = (answer,), "labels"
    question = fields.text("question")
    return fields.example(id_, question, answers, context=context, form=form, metric=metric)


def _written(example: Example) -> Record:
    form, answers = example.task.form, example.gold.answers
    if form.kind is AnswerKind.CHOICE:
        return {"choices": list(form.options), "answer": form.given(answers[0])[0]}
    return {"answer": list(answers) if len(answers) > 1 else answers[0]}


def _write(example: Example) -> Record:
    passages = [
        text_of(paragraph)
        if paragraph.title == f"Passage {number}"
        else f"{paragraph.title}\n{text_of(paragraph)}"
        for number, paragraph in enumerate(example.task.context, start=1)
    ]
    return {
        "test_id": example.task.id,
        "question": example.task.question,
        **_written(example),
        **({"passages": passages} if passages else {}),
    }


AUGMENTED = Layout(
    "augmented",
    "test_id question answer passages choices",
    marks=(("test_id",), ("passages",)),
    parse=_parse,
    write=_write,
    kinds=tuple(AnswerKind),
    id_field="test_id",
    suffix=".json",
)

CASEHOLD = Layout(
    "casehold",
    "question choices answer (a letter)",
    marks=(("choices",),),
    parse=lambda fields: _question(
        fields, fields.content_id("casehold", "question", "choices"), _passages(fields)
    ),
    write=lambda example: {"question": example.task.question, **_written(example)},
    kinds=(AnswerKind.CHOICE,),
)

PLAIN = Layout(
    "plain",
    "question answer",
    marks=(("question", "answer"),),
    parse=lambda fields: _question(fields, fields.content_id("plain", "question", "answer")),
    write=lambda example: {"question": example.task.question, **_written(example)},
    kinds=(AnswerKind.FREE, AnswerKind.YES_NO, AnswerKind.YES_NO_MAYBE),
)
