"""HousingQA's layout (Zheng et al. 2025): yes or no, with the statutes that tell; maybe none.

A statute without a text is left out.
"""

from collections.abc import Iterator

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.data.layouts.fields import Fields, facts, prose, text_of
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    statutes = list(_statutes(fields))
    form, label = fields.label(AnswerKind.YES_NO, fields.text("answer"), "answer")
    return fields.example(
        fields.content_id("housingqa", "question", "answer", "statutes"),
        fields.text("question"),
        (label,),
        context=fields.sized("statutes", statutes),
        facts=[fact for statute in statutes for fact in facts(statute)],
        form=form,
        metric="labels",
        type=fields.text("state", default=""),
    )


def _statutes(fields: Fields) -> Iterator[Paragraph]:
    for number, item in enumerate(fields.items("statutes", list, least=0), start=1):
        match item:
            case [str(citation), str(excerpt)]:
                if excerpt.strip():
                    yield prose(citation, excerpt)
            case _:
                raise fields.fail("statutes", f"item {number}: expected [citation, excerpt]")


def _write(example: Example) -> Record:
    return {
        "question": example.task.question,
        "answer": example.gold.answers[0].capitalize(),
        "state": example.type,
        "statutes": [[p.title, text_of(p)] for p in example.task.context],
    }


HOUSINGQA = Layout(
    "housingqa",
    "question answer state statutes[[citation excerpt]]",
    marks=(("statutes",),),
    parse=_parse,
    write=_write,
    kinds=(AnswerKind.YES_NO,),
)
