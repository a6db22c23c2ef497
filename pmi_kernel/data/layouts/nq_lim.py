"""The layout of Lost in the Middle (Liu et al. 2023): NQ-open questions with ranked documents.

The same question has the same id at any place of the gold document.
"""

from collections.abc import Iterator

from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.data.layouts.fields import Fields, facts, prose, text_of
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    told = list(_documents(fields))
    return fields.example(
        fields.content_id("nq", "question", "answers"),
        fields.text("question"),
        fields.answers("answers"),
        context=fields.sized("ctxs", [document for document, _ in told]),
        facts=[fact for document, is_gold in told if is_gold for fact in facts(document)],
        metric="nq_lim",
    )


def _documents(fields: Fields) -> Iterator[tuple[Paragraph, bool]]:
    for number, item in enumerate(fields.items("ctxs", dict), start=1):
        match item:
            case {"title": str(title), "text": str(text), **rest} if text.strip():
                is_gold = rest.get("isgold", False)
                yield prose(title, text), fields.typed("ctxs", is_gold, bool, of=f"item {number}")
            case _:
                raise fields.fail("ctxs", f"item {number}: expected title and text, two texts")


def _write(example: Example) -> Record:
    gold = example.gold.passages
    return {
        "question": example.task.question,
        "answers": list(example.gold.answers),
        "ctxs": [
            {
                "title": paragraph.title,
                "text": text_of(paragraph),
                "hasanswer": any(answer in text_of(paragraph) for answer in example.gold.answers),
                "isgold": paragraph.title in gold,
            }
            for paragraph in example.task.context
        ],
    }


NQ_LIM = Layout(
    "nq_lim",
    "question answers ctxs[title text hasanswer isgold]",
    marks=(("ctxs",), ("nq_annotated_gold",)),
    parse=_parse,
    write=_write,
)
