"""The plain answer: how a question is put, and how the reply is read."""

import re

from pmi_kernel.core.trace import ActionKind
from pmi_kernel.prompting.actions import parse_action
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.prompting.shots import SHOTS, few_shot

_ANSWER = (
    "You answer questions. Each of your turns is <answer>a short answer</answer>. "
    "A short answer is a name, a date, a number, yes or no, never a sentence."
)


def pose(question: str, evidence: str | None = None) -> str:
    """Return a question as a user puts it, with or without evidence before it."""
    asked = f"Question: {question}"
    return asked if evidence is None else f"<information>\n{evidence}\n</information>\n\n{asked}"


def answer_prompt(question: str, evidence: str | None, *, shots: int) -> Prompt:
    """Return the chat that asks for the answer itself, with or without evidence before it."""
    shown = [
        (pose(shot.question, None if evidence is None else shot.evidence), shot.reply)
        for shot in SHOTS[:shots]
    ]
    return few_shot(_ANSWER, shown, pose(question, evidence))


def short_answer(text: str) -> str:
    """Return the answer in a reply to `answer_prompt`: what stands in its tags, else all of it.

    Tags that are doubled, or have no partner, are no part of it.
    """
    action = parse_action(text)
    said = action.argument if action.kind is ActionKind.ANSWER else text
    return " ".join(re.sub(r"</?answer>", " ", said).split())
