"""The workbench's own layout: HotpotQA's with the answer's form and metric."""

from dataclasses import replace

from pmi_kernel.core.answers import AnswerForm, AnswerKind
from pmi_kernel.core.scoring import METRICS
from pmi_kernel.core.task import Example, Gold, Task
from pmi_kernel.core.text import shown
from pmi_kernel.data.layouts.fields import Fields
from pmi_kernel.data.layouts.hotpotqa import (
    accepted,
    context_record,
    paragraphs,
    supporting_facts,
)
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    context, answers = paragraphs(fields), accepted(fields)
    task = Task(fields.text("_id"), fields.text("question"), context)
    titles = fields.items("gold_titles") if "gold_titles" in fields else ()
    facts, known = supporting_facts(fields, context), fields.text("known", default="")
    gold = Gold(answers, facts, known, tuple(titles))
    kind = fields.text("form")
    if kind not in list(AnswerKind):
        raise fields.fail("form", f"expected one of {', '.join(AnswerKind)}, found {shown(kind)}")
    form = AnswerForm(AnswerKind(kind))
    if form.kind is AnswerKind.CHOICE:
        form, answer = fields.choice(fields.items("options"), answers[0], "answers")
        gold = replace(gold, answers=(answer,))
    elif form.allowed:
        gold = replace(gold, answers=(fields.label(form.kind, answers[0], "answers")[1],))
    if (metric := fields.text("metric")) not in METRICS:
        raise fields.fail("metric", f"expected one of {', '.join(METRICS)}, found {shown(metric)}")
    return Example(
        replace(task, form=form),
        gold,
        type=fields.text("type", default=""),
        level=fields.text("level", default=""),
        metric=metric,
    )


def _write(example: Example) -> Record:
    form = example.task.form
    return {
        "_id": example.task.id,
        "question": example.task.question,
        "form": form.kind.value,
        **({"options": list(form.options)} if form.options else {}),
        "answers": list(example.gold.answers),
        **({"known": example.gold.known} if example.gold.known else {}),
        **({"gold_titles": list(example.gold.titles)} if example.gold.titles else {}),
        "metric": example.metric,
        "type": example.type,
        "level": example.level,
        **context_record(example),
    }


WORKBENCH = Layout(
    "workbench",
    "_id question form options answers metric type level supporting_facts context",
    marks=(("form",),),
    parse=_parse,
    write=_write,
    kinds=tuple(AnswerKind),
    id_field="_id",
)
