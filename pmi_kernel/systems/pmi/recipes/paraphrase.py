"""The text in other words, in sentences that the engine writes."""

import re

from pmi_kernel.engines.base import Lesson
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.systems.pmi.recipes.writer import Writer, text_prompt

_REPHRASE = (
    "You say the facts of a text in other words. Each line is one full sentence. Names, dates and "
    "numbers stay as they stand. Add nothing."
)
_LINE = r"- [^\n]{10,200}"
_SENTENCE = re.compile(r"- (.+)")

SHOT_SENTENCES = (
    (
        "Quill Tarvane wrote the novel The Amber Ladder.",
        "The author of The Amber Ladder is Quill Tarvane.",
        "Ostermoor is the birthplace of Quill Tarvane.",
    ),
    (
        "Work on the Fenlow Bridge ended in 1871.",
        "1871 is the year in which the Fenlow Bridge was finished.",
        "The Harrick Tower was not finished until 1902.",
    ),
    (
        "Dunmarsh Lines is the owner of the Pale Heron.",
        "The head of Dunmarsh Lines is Isolde Brack.",
        "Isolde Brack leads Dunmarsh Lines.",
    ),
)
"""The note of each worked example in other words."""


def lessons(writer: Writer, text: Lesson) -> list[Lesson]:
    """Return the sentences, each once."""
    found = writer.write(rephrase_prompt(text.text, shots=writer.shots), _LINE, _SENTENCE)
    return [Lesson(sentence) for sentence in dict.fromkeys(match[1] for match in found)]


def rephrase_prompt(text: str, *, shots: int) -> Prompt:
    """Return the chat that asks for a text's facts in other words, a line each."""
    replies = ["\n".join(f"- {sentence}" for sentence in said) for said in SHOT_SENTENCES]
    return text_prompt(_REPHRASE, "In other words:", replies, text, shots)
