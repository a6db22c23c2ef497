"""ComplexWebQuestions' official layout (Talmor and Berant 2018): no paragraphs."""

from pmi_kernel.core.task import Example
from pmi_kernel.data.layouts.fields import Fields
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    answers: list[str] = []
    entities: list[str] = []
    for number, item in enumerate(fields.items("answers", dict), start=1):
        match item:
            case {"answer": str() | None as answer, **rest}:
                aliases = fields.typed(
                    "answers", rest.get("aliases") or [], list, of=f"item {number}"
                )
                told = [answer or "", *aliases]
                for text in told:
                    fields.typed("answers", text, str, of=f"item {number}")
                answers += [text for text in told if text.strip()]
                entities += [id_ for id_ in [rest.get("answer_id")] if isinstance(id_, str)]
            case _:
                raise fields.fail("answers", f"item {number}: expected answer and aliases")
    answers = answers or entities  # some have no name in the official files
    if not answers:
        raise fields.fail("answers", "every answer is empty")
    return fields.example(
        fields.text("ID"),
        fields.text("question"),
        tuple(dict.fromkeys(answers)),
        type=fields.text("compositionality_type", default=""),
    )


def _write(example: Example) -> Record:
    answer, *aliases = example.gold.answers
    return {
        "ID": example.task.id,
        "question": example.task.question,
        "compositionality_type": example.type,
        "answers": [{"answer": answer, "aliases": aliases}],
    }


COMPLEXWEBQUESTIONS = Layout(
    "complexwebquestions",
    "ID question compositionality_type answers[answer aliases]",
    marks=(("ID",), ("compositionality_type",)),
    parse=_parse,
    write=_write,
    id_field="ID",
    suffix=".json",
)
