"""The plain answer: how a question is put, and how the reply is read."""

import re

from pmi_kernel.core.answers import FREE, AnswerForm, AnswerKind
from pmi_kernel.core.trace import ActionKind
from pmi_kernel.prompting.actions import parse_action
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.prompting.shots import few_shot, shots_of

_ANSWER = "You answer questions. Each of your turns is {}"


def wanted(form: AnswerForm) -> tuple[str, str]:
    """Return what stands for an answer in a system's instructions, and a sentence on what it is."""
    match form.kind:
        case AnswerKind.FREE:
            told = "A short answer is a name, a date, a number, yes or no, never a sentence."
            return "a short answer", told
        case AnswerKind.CHOICE:
            told = "The answer is the letter of the right option with its text, nothing else."
            return "letter. option", told
        case _:
            labels = " or ".join(form.allowed)
            return labels, f"The answer is {labels}, nothing else."


def pose(question: str, evidence: str | None = None, form: AnswerForm = FREE) -> str:
    """Return a question as a user puts it, with or without evidence before it; options after it."""
    asked = f"Question: {question}"
    if form.options:
        asked = "\n".join((asked, *form.allowed))
    return asked if evidence is None else f"<information>\n{evidence}\n</information>\n\n{asked}"


def answer_prompt(
    question: str, evidence: str | None, form: AnswerForm = FREE, *, shots: int
) -> Prompt:
    """Return the chat that asks for the answer itself, with or without evidence before it."""
    answer, told = wanted(form)
    shown = [
        (pose(shot.question, None if evidence is None else shot.evidence, shot.form), shot.reply)
        for shot in shots_of(form)[:shots]
    ]
    system = _ANSWER.format(f"<answer>{answer}</answer>. {told}")
    return few_shot(system, shown, pose(question, evidence, form))


def most_tokens(form: AnswerForm, most: int) -> int:
    """Return the most new tokens of an answer: what is set, or more where an option is longer.

    A token has one byte or more, so an option always fits.
    """
    longest = max((len(answer.encode()) for answer in form.options), default=0)
    return max(most, longest + _TAGS) if longest else most


_TAGS = 24
"""Bytes of an answer's tags and letter."""


def short_answer(text: str) -> str:
    """Return the answer in a reply to `answer_prompt`: what stands in its tags, else all of it.

    Tags that are doubled, or have no partner, are no part of it.
    """
    action = parse_action(text)
    said = action.argument if action.kind is ActionKind.ANSWER else text
    return " ".join(re.sub(r"</?answer>", " ", said).split())
