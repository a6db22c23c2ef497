"""Reading and guiding the two actions of the MEM1 protocol.

The first opening tag of a known action decides: its argument runs to the first closing tag of the
same kind. Everything before and after is ignored. Tags may be in any case and hold blanks. If that
first tag never closes, the outcome is UNCLOSED, even where a later action is whole; an argument
may not hold another action's tag, so `<search>a<answer>b</answer></search>` is UNCLOSED too.
"""

import re

from pmi_kernel.core.answers import FREE, AnswerForm
from pmi_kernel.core.trace import Action, ActionKind, ParseOutcome

ACTION_STOPS = ("</search>", "</answer>")
"""Strings at which an output may stop: what follows would be ignored."""

_OPEN = re.compile(r"<\s*(search|answer)\s*>", re.IGNORECASE)
_TAG = re.compile(r"<\s*(/?)\s*(search|answer)\s*>", re.IGNORECASE)


def parse_action(text: str) -> Action:
    """Return the first action of a model output; the argument has its white space folded."""
    opening = _OPEN.search(text)
    if opening is None:
        return Action(None, "", ParseOutcome.NO_ACTION)
    kind = ActionKind(opening.group(1).lower())
    closing = _TAG.search(text, opening.end())
    if closing is None or not closing.group(1) or closing.group(2).lower() != kind:
        return Action(None, "", ParseOutcome.UNCLOSED)
    argument = " ".join(text[opening.end() : closing.start()].split())
    if not argument:
        return Action(None, "", ParseOutcome.EMPTY_ARGUMENT)
    return Action(kind, argument, ParseOutcome.OK)


def action_regex(max_chars: int, form: AnswerForm = FREE) -> str:
    """Return a regex, for guided decoding, of exactly one action with a one-line argument.

    Args:
        max_chars: Most characters of the argument, at least 1; of an answer, if it is free text.
        form: What may be answered.
    """
    return f"(<search>{_line(max_chars)}</search>|{answer_regex(max_chars, form)})"


def answer_regex(max_chars: int, form: AnswerForm = FREE) -> str:
    """Return a regex of an answer within its tags; see `action_regex`."""
    return f"<answer>({value_regex(form) or _line(max_chars)})</answer>"


def value_regex(form: AnswerForm) -> str:
    """Return a regex of what may be answered; empty of free text."""
    return "|".join(map(re.escape, form.allowed))


def _line(max_chars: int) -> str:
    return rf"[^<>\s][^<>\r\n]{{0,{max_chars - 1}}}"
