"""HotpotQA's official layout (Yang et al. 2018), and 2WikiMultihopQA's, which is made after it.

A record has `_id, question, answer, type, level, supporting_facts, context`; `context` is a list
of `[title, [sentence, ...]]`, `supporting_facts` of `[title, sentence index]`. `answers`, a list,
may stand for `answer` where several are accepted; `known`, which may be absent, is `Gold.known`.
The official files hold some sentence indices beyond their paragraph's end, which are kept as they
are.
"""

from collections.abc import Iterator
from dataclasses import replace

from pmi_kernel.core.task import Example, Gold, Paragraph, SupportingFact, Task
from pmi_kernel.core.text import shown
from pmi_kernel.data.layouts.fields import Fields
from pmi_kernel.data.layouts.layout import Layout, Record


def _parse(fields: Fields) -> Example:
    context = paragraphs(fields)
    if not context:
        raise fields.fail("context", "expected a list of at least one paragraph")
    return Example(
        Task(fields.text("_id"), fields.text("question"), context),
        Gold(accepted(fields), supporting_facts(fields, context), fields.text("known", default="")),
        type=fields.text("type", default=""),
        level=fields.text("level", default=""),
    )


def accepted(fields: Fields) -> tuple[str, ...]:
    """Return the answers: `answers`, each of them a text, else `answer`."""
    if "answers" in fields:
        return tuple(fields.items("answers"))
    if "answer" not in fields:
        raise fields.fail("answer", "is missing (a file without answers cannot be evaluated)")
    return (fields.text("answer"),)


def paragraphs(fields: Fields) -> tuple[Paragraph, ...]:
    """Return the paragraphs of `context`, in sentences; maybe none."""
    return fields.sized("context", list(_paragraphs(fields)))


def _paragraphs(fields: Fields) -> Iterator[Paragraph]:
    for number, item in enumerate(fields.value("context", list), start=1):
        match item:
            case [str(title), [*sentences]] if all(isinstance(s, str) for s in sentences):
                if not any(sentence.strip() for sentence in sentences):
                    raise fields.fail("context", f"paragraph {number} ({shown(title)}) is empty")
                yield Paragraph(title, tuple(sentences))
            case _:
                raise fields.fail(
                    "context", f"paragraph {number}: expected [title, [sentence, ...]]"
                )


def supporting_facts(fields: Fields, context: tuple[Paragraph, ...]) -> tuple[SupportingFact, ...]:
    """Return the gold sentences of `supporting_facts`, each of a paragraph of the context."""
    titles = {paragraph.title for paragraph in context}
    facts = []
    if fields.record.get("supporting_facts", []) is None:
        raise fields.fail("supporting_facts", "expected a list, found NoneType")
    for number, fact in enumerate(fields.value("supporting_facts", list, []), start=1):
        match fact:
            case [str(title), int(sentence)] if sentence >= 0 and not isinstance(sentence, bool):
                if title not in titles:
                    raise fields.fail(
                        "supporting_facts", f"item {number}: no paragraph is called {shown(title)}"
                    )
                facts.append(SupportingFact(title, sentence))
            case _:
                raise fields.fail(
                    "supporting_facts",
                    f"item {number}: expected [title, index], found {shown(fact)}",
                )
    return tuple(facts)


def to_record(example: Example) -> Record:
    """Return the raw record of an example."""
    answers, known = example.gold.answers, example.gold.known
    return {
        "_id": example.task.id,
        "question": example.task.question,
        **({"answer": answers[0]} if len(answers) == 1 else {"answers": list(answers)}),
        **({"known": known} if known else {}),
        "type": example.type,
        "level": example.level,
        **context_record(example),
    }


def context_record(example: Example) -> Record:
    """Return the part of a record that tells the gold sentences and the paragraphs."""
    return {
        "supporting_facts": [[f.title, f.sentence] for f in example.gold.supporting_facts],
        "context": [[p.title, list(p.sentences)] for p in example.task.context],
    }


HOTPOTQA = Layout(
    "hotpotqa",
    "_id question answer type level supporting_facts context",
    marks=(("context",), ("_id",), ("supporting_facts",)),
    parse=_parse,
    write=to_record,
    id_field="_id",
    suffix=".json",
)


def _parse_2wiki(fields: Fields) -> Example:
    example = _parse(fields)
    aliases = fields.value("answer_aliases", list, [])
    answers = tuple(dict.fromkeys((*example.gold.answers, *aliases)))
    return replace(example, gold=replace(example.gold, answers=answers), metric="2wikimultihopqa")


def _to_2wiki(example: Example) -> Record:
    answer, *aliases = example.gold.answers
    return {
        "_id": example.task.id,
        "type": example.type,
        "question": example.task.question,
        **context_record(example),
        "evidences": [],
        "answer": answer,
        **({"answer_aliases": aliases} if aliases else {}),
    }


TWO_WIKI = Layout(
    "2wikimultihopqa",
    "_id question answer answer_id context supporting_facts evidences",
    marks=(("evidences",), ("answer_id",)),
    parse=_parse_2wiki,
    write=_to_2wiki,
    id_field="_id",
    suffix=".json",
    beside="id_aliases.json",
)
"""Its answers have the aliases that `id_aliases.json` lists under `answer_id`."""
