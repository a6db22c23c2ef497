"""MuSiQue's official layout (Trivedi et al. 2022); of MuSiQue-Full, the answerable questions."""

from collections.abc import Iterator

from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.data.layouts.fields import Fields, facts, prose, text_of
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    if fields.value("answerable", bool, True) is False:
        raise fields.fail("answerable", "is false: use the answerable part (musique_ans_...)")
    told = list(_paragraphs(fields))
    aliases = fields.value("answer_aliases", list, [])
    for number, alias in enumerate(aliases, start=1):
        fields.typed("answer_aliases", alias, str, of=f"item {number}")
    answers = dict.fromkeys((fields.text("answer"), *(a for a in aliases if a.strip())))
    id_ = fields.text("id")
    return fields.example(
        id_,
        fields.text("question"),
        tuple(answers),
        context=fields.sized("paragraphs", [paragraph for paragraph, _ in told]),
        facts=[fact for p, is_supporting in told if is_supporting for fact in facts(p)],
        metric="musique",
        type=id_.partition("__")[0] if "hop" in id_ else "",
    )


def _paragraphs(fields: Fields) -> Iterator[tuple[Paragraph, bool]]:
    for number, item in enumerate(fields.items("paragraphs", dict), start=1):
        match item:
            case {"title": str(title), "paragraph_text": str(text), **rest} if text.strip():
                is_gold = rest.get("is_supporting", False)
                yield (
                    prose(title, text),
                    fields.typed("paragraphs", is_gold, bool, of=f"item {number}"),
                )
            case _:
                raise fields.fail(
                    "paragraphs", f"item {number}: expected title and paragraph_text, two texts"
                )


def _write(example: Example) -> Record:
    gold = example.gold.passages
    answer, *aliases = example.gold.answers
    return {
        "id": example.task.id,
        "paragraphs": [
            {
                "idx": place,
                "title": paragraph.title,
                "paragraph_text": text_of(paragraph),
                "is_supporting": paragraph.title in gold,
            }
            for place, paragraph in enumerate(example.task.context)
        ],
        "question": example.task.question,
        "question_decomposition": [],
        "answer": answer,
        "answer_aliases": aliases,
        "answerable": True,
    }


MUSIQUE = Layout(
    "musique",
    "id question answer answer_aliases paragraphs[title paragraph_text is_supporting]",
    marks=(("paragraphs",), ("question_decomposition",)),
    parse=_parse,
    write=_write,
    id_field="id",
)
