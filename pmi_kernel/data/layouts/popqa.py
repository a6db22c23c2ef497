"""PopQA's official table (Mallen et al. 2023): a row a question, without paragraphs."""

import json

from pmi_kernel.core.task import Example
from pmi_kernel.data.layouts.fields import Fields
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    told = (
        fields.decoded("possible_answers")
        if isinstance(fields.record.get("possible_answers"), str)
        else fields
    )
    subject = fields.text("s_wiki_title", default="")
    return fields.example(
        fields.id("id"),
        fields.text("question"),
        told.answers("possible_answers"),
        metric="popqa",
        type=fields.text("prop", default=""),
        titles=(subject,) if subject else (),
    )


def _write(example: Example) -> Record:
    return {
        "id": example.task.id,
        "subj": next(iter(example.gold.titles), ""),
        "prop": example.type,
        "obj": example.gold.answers[0],
        "s_wiki_title": next(iter(example.gold.titles), ""),
        "question": example.task.question,
        "possible_answers": json.dumps(example.gold.answers, ensure_ascii=False),
    }


POPQA = Layout(
    "popqa",
    "id subj prop obj ... question possible_answers (a JSON list)",
    marks=(("possible_answers",), ("subj", "prop", "obj")),
    parse=_parse,
    write=_write,
    id_field="id",
    suffix=".tsv",
)
