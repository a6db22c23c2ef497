"""The text itself, questions on it, and the same in other words."""

from pmi_kernel.engines.base import Lesson
from pmi_kernel.systems.pmi.recipes import paraphrase, qa
from pmi_kernel.systems.pmi.recipes.writer import Writer


def lessons(writer: Writer, text: Lesson) -> list[Lesson]:
    """Return the text, the pairs and the sentences."""
    return [text, *qa.lessons(writer, text), *paraphrase.lessons(writer, text)]
