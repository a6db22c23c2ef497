"""Questions on the text that the engine writes, each with its answer."""

import re

from pmi_kernel.engines.base import Lesson
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.systems.pmi.recipes.writer import Writer, text_prompt

_QUIZ = (
    "You write questions about a text. Each line is one question on one fact of the text and its "
    "answer: a name, a date, a number or a few words, copied from the text."
)
_LINE = r"Q: [^\n?]{8,120}\? A: [^\n]{1,60}"
_PAIR = re.compile(r"Q: (.+?\?) A: (.+)")

SHOT_PAIRS = (
    (
        ("Who wrote The Amber Ladder?", "Quill Tarvane"),
        ("What kind of work is The Amber Ladder?", "a novel"),
        ("In which town was Quill Tarvane born?", "Ostermoor"),
        ("Which novelist was born in Ostermoor?", "Quill Tarvane"),
    ),
    (
        ("In what year was the Fenlow Bridge finished?", "1871"),
        ("What was finished in 1871?", "the Fenlow Bridge"),
        ("In what year was the Harrick Tower finished?", "1902"),
        ("What was finished in 1902?", "the Harrick Tower"),
    ),
    (
        ("Which company owns the Pale Heron?", "Dunmarsh Lines"),
        ("Which ship does Dunmarsh Lines own?", "the Pale Heron"),
        ("Who leads Dunmarsh Lines?", "Isolde Brack"),
        ("Which company is led by Isolde Brack?", "Dunmarsh Lines"),
    ),
)
"""Questions and answers on the note of each worked example."""


def lessons(writer: Writer, text: Lesson) -> list[Lesson]:
    """Return the pairs; of a question that was written twice, the last answer counts."""
    found = writer.write(quiz_prompt(text.text, shots=writer.shots), _LINE, _PAIR)
    pairs = {match[1]: match[2] for match in found}
    return [writer.pair(question, answer.strip()) for question, answer in pairs.items()]


def quiz_prompt(text: str, *, shots: int) -> Prompt:
    """Return the chat that asks for questions and answers on a text, a line each."""
    replies = ["\n".join(f"Q: {asked} A: {said}" for asked, said in pairs) for pairs in SHOT_PAIRS]
    return text_prompt(_QUIZ, "Questions and answers:", replies, text, shots)
