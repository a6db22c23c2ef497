"""MedQA's layout of four or five options (Jin et al. 2020), a letter each: no paragraphs."""

from string import ascii_uppercase

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.core.task import Example
from pmi_kernel.data.layouts.fields import Fields
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    options = fields.value("options", dict)
    if list(options) != list(ascii_uppercase[: len(options)]):
        raise fields.fail(
            "options", f"expected the letters A, B, ... in order, found {list(options)}"
        )
    for letter, text in options.items():
        if not fields.typed("options", text, str, of=letter).strip():
            raise fields.fail("options", f"{letter} is empty")
    field = "answer_idx" if "answer_idx" in fields else "answer"
    form, answer = fields.choice(list(options.values()), fields.text(field), field)
    if field == "answer_idx" and fields.text("answer", default=answer).split() != answer.split():
        raise fields.fail("answer", f"is not the text of option {fields.text('answer_idx')}")
    return fields.example(
        fields.content_id("medqa", "question", "options"),
        fields.text("question"),
        (answer,),
        form=form,
        metric="labels",
        type=fields.text("meta_info", default=""),
    )


def _write(example: Example) -> Record:
    form, answer = example.task.form, example.gold.answers[0]
    return {
        "question": example.task.question,
        "answer": answer,
        "options": dict(zip(ascii_uppercase, form.options, strict=False)),
        "answer_idx": form.given(answer)[0],
        "meta_info": example.type,
    }


MEDQA = Layout(
    "medqa",
    "question answer options{A B C D} answer_idx meta_info",
    marks=(("options",), ("answer_idx",)),
    parse=_parse,
    write=_write,
    kinds=(AnswerKind.CHOICE,),
)
