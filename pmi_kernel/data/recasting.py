"""Questions asked so that another kind of answer fits: a choice, or yes or no, of free text.

So that fictional worlds can be written in any layout. Which option is right, and whether yes is, is
drawn from the question's id.
"""

from dataclasses import replace
from random import Random

from pmi_kernel.core.answers import AnswerForm, AnswerKind
from pmi_kernel.core.errors import DataError
from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import shown
from pmi_kernel.data.layouts import Layout

_MOST_OTHERS = 3
_LABELS = ("yes", "no")


def recast(example: Example, layout: Layout) -> Example:
    """Return an example as one whose answer a layout can hold; as it is where it can.

    Free text becomes a choice of the answer and the titles of three other paragraphs, or a question
    of yes or no about one of these. A label becomes free text.

    Raises:
        DataError: It cannot be: a choice is never put otherwise, and another candidate is needed.
    """
    kind = example.task.form.kind
    if kind in layout.kinds:
        return example
    is_free = kind is AnswerKind.FREE
    if is_free and AnswerKind.CHOICE in layout.kinds:
        return _as_choice(example)
    if is_free and AnswerKind.YES_NO in layout.kinds:
        return _as_label(example)
    if kind in (AnswerKind.YES_NO, AnswerKind.YES_NO_MAYBE) and AnswerKind.FREE in layout.kinds:
        return replace(example, task=replace(example.task, form=AnswerForm()), metric="hotpotqa")
    raise DataError(
        f"question {shown(example.task.id)}: the layout {layout.name} holds "
        f"{' or '.join(layout.kinds)}, and it is answered by {kind}"
    )


def _as_choice(example: Example) -> Example:
    answer, random = example.gold.answers[0], Random(example.task.id)
    if answer in _LABELS:
        options = list(_LABELS)
    else:
        options = [answer, *_others(example, random)[:_MOST_OTHERS]]
        random.shuffle(options)
    form = AnswerForm(AnswerKind.CHOICE, tuple(options))
    return _with(example, example.task.question, answer, form)


def _as_label(example: Example) -> Example:
    answer, random = example.gold.answers[0], Random(example.task.id)
    form = AnswerForm(AnswerKind.YES_NO)
    if answer in _LABELS:
        return _with(example, example.task.question, answer, form)
    is_right = random.random() < 0.5
    candidate = answer if is_right else _others(example, random)[0]
    question = f"{example.task.question} Is it {candidate}?"
    return _with(example, question, "yes" if is_right else "no", form)


def _with(example: Example, question: str, answer: str, form: AnswerForm) -> Example:
    return replace(
        example,
        task=replace(example.task, question=question, form=form),
        gold=replace(example.gold, answers=(answer,), known=""),
        metric="labels",
    )


def _others(example: Example, random: Random) -> list[str]:
    """Other candidates, in any order: titles of its paragraphs that are no answer of it."""
    accepted = {normalize_answer(answer) for answer in example.gold.answers}
    titles = dict.fromkeys(paragraph.title for paragraph in example.task.context)
    found = [title for title in titles if title and normalize_answer(title) not in accepted]
    if not found:
        raise DataError(
            f"question {shown(example.task.id)}: no paragraph has a title that could be another "
            "candidate"
        )
    return random.sample(found, len(found))
