"""PubMedQA's official layout (Jin et al. 2019): one object, a record under each PubMed id."""

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.core.task import Example
from pmi_kernel.data.decoding import KEY
from pmi_kernel.data.layouts.fields import Fields, prose, text_of
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    texts, titles = fields.items("CONTEXTS"), fields.items("LABELS", least=0)
    if titles and len(titles) != len(texts):
        raise fields.fail(
            "LABELS", f"{len(titles)} of them, and {len(texts)} contexts; expected one for each"
        )
    form, label = fields.label(
        AnswerKind.YES_NO_MAYBE, fields.text("final_decision"), "final_decision"
    )
    context = [prose(t, text) for t, text in zip(titles or [""] * len(texts), texts, strict=True)]
    return fields.example(
        fields.id(KEY),
        fields.text("QUESTION"),
        (label,),
        context=fields.sized("CONTEXTS", context),
        form=form,
        metric="labels",
    )


def _write(example: Example) -> Record:
    return {
        KEY: example.task.id,
        "QUESTION": example.task.question,
        "CONTEXTS": [text_of(paragraph) for paragraph in example.task.context],
        "LABELS": [paragraph.title or "TEXT" for paragraph in example.task.context],
        "final_decision": example.gold.answers[0],
    }


PUBMEDQA = Layout(
    "pubmedqa",
    "{pmid: {QUESTION CONTEXTS LABELS final_decision}}",
    marks=(("QUESTION",), ("final_decision",), ("CONTEXTS",)),
    parse=_parse,
    write=_write,
    kinds=(AnswerKind.YES_NO, AnswerKind.YES_NO_MAYBE),
    id_field=KEY,
    suffix=".json",
)
