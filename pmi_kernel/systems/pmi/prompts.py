"""The words of the PMI system: the next action, and a note on what was found."""

from collections.abc import Sequence

from pmi_kernel.core.answers import FREE, AnswerForm
from pmi_kernel.prompting.answer import pose, wanted
from pmi_kernel.prompting.messages import Message, Prompt
from pmi_kernel.prompting.shots import few_shot, shots_of

MEMORISED = "(memorised: recall it)"
"""Stands where the evidence would, when it went into the weights only."""

_ACT = (
    "You answer questions. Each of your turns is exactly one action: "
    "<search>what to look for</search> to get more information, or "
    "<answer>{}</answer> once you know. {}"
)
_COMPRESS = (
    "You take notes. Copy from the passages the facts that help to answer the question, in short "
    "full sentences with the names, dates and numbers as they stand. Add nothing."
)


def act_prompt(
    question: str,
    searches: Sequence[tuple[str, str]],
    form: AnswerForm = FREE,
    *,
    shots: int,
    in_prompt: bool,
) -> Prompt:
    """Return the chat that asks for the next action.

    Args:
        question: The question.
        searches: The (query, evidence) pairs so far, in order; at least one.
        form: What may be answered.
        shots: Worked examples to show, 0 to `MAX_SHOTS`.
        in_prompt: Whether evidence is shown; if not, `MEMORISED` stands for it.
    """
    chat = [Message("system", _ACT.format(*wanted(form)))]
    for shot in shots_of(form)[:shots]:
        chat += _turns(shot.question, shot.searches, shot.form, in_prompt)
        chat.append(Message("assistant", shot.reply))
    return (*chat, *_turns(question, searches, form, in_prompt))


def _turns(
    question: str, searches: Sequence[tuple[str, str]], form: AnswerForm, in_prompt: bool
) -> list[Message]:
    turns = [Message("user", pose(question, form=form))]
    for query, evidence in searches:
        shown = evidence if in_prompt else MEMORISED
        turns.append(Message("assistant", f"<search>{query}</search>"))
        # Asked again, as a small model forgets what stands before the evidence.
        turns.append(Message("user", pose(question, shown, form)))
    return turns


def compress_prompt(question: str, evidence: str, form: AnswerForm = FREE, *, shots: int) -> Prompt:
    """Return the chat that asks for a snippet: what the evidence says towards the question."""
    shown = [
        (_passages(shot.question, shot.evidence, shot.form), shot.note)
        for shot in shots_of(form)[:shots]
    ]
    return few_shot(_COMPRESS, shown, _passages(question, evidence, form))


def _passages(question: str, evidence: str, form: AnswerForm) -> str:
    return f"{pose(question, form=form)}\n\nPassages:\n{evidence}\n\nFacts from the passages:"
