"""The passages of the text, each of which one gradient step is taken on; see `mem_start`."""

from dataclasses import replace

from pmi_kernel.engines.base import Lesson
from pmi_kernel.systems.pmi.recipes.writer import Writer


def lessons(writer: Writer, text: Lesson) -> list[Lesson]:
    """Return each line of the text, which is a passage where it is evidence."""
    lines = [line.strip() for line in text.text.splitlines()]
    return [replace(text, text=line) for line in lines if line]
