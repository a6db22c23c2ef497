"""A question in other words, so that an answer does not hang on one wording."""

from pmi_kernel.prompting.answer import pose
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.prompting.shots import few_shot

_REWORD = (
    "You ask a question in other words. Each line is one full question with the same answer. Names "
    "stay as they stand."
)
_REWORDED = (
    (
        "In which town was the author of The Amber Ladder born?",
        "What is the birthplace of the author of The Amber Ladder?\n"
        "Where was the person who wrote The Amber Ladder born?\n"
        "Which town does the author of The Amber Ladder come from?",
    ),
    (
        "Who leads Dunmarsh Lines?",
        "Who is the head of Dunmarsh Lines?\n"
        "By whom is Dunmarsh Lines led?\n"
        "What is the name of the person in charge of Dunmarsh Lines?",
    ),
)


def reword_prompt(question: str) -> Prompt:
    """Return the chat that asks for a question in other words, a line each."""
    shown = [(_asked(question), reworded) for question, reworded in _REWORDED]
    return few_shot(_REWORD, shown, _asked(question))


def _asked(question: str) -> str:
    return f"{pose(question)}\n\nThe same in other words:"
