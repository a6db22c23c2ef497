"""Recipes: what a memory is trained on, made of the evidence by the same engine. No gold is seen.

Next-token training on one raw text is the weak recipe; question-answer pairs and paraphrases that
the model itself writes are the strong one (Self-Adapting Language Models, arXiv:2506.10943;
PRAG, arXiv:2501.15915). Each recipe is a file of its own, and one line here.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pmi_kernel.engines.base import Generation, Lesson, Lessons
from pmi_kernel.systems.pmi.recipes import cloze, gradient, mixed, ntp, paraphrase, qa
from pmi_kernel.systems.pmi.recipes.rehearsal import REHEARSED
from pmi_kernel.systems.pmi.recipes.writer import Writer

RECIPES: dict[str, Callable[[Writer, Lesson], list[Lesson]]] = {
    "ntp": ntp.lessons,
    "qa": qa.lessons,
    "paraphrase": paraphrase.lessons,
    "mixed": mixed.lessons,
    "cloze": cloze.lessons,
    "gradient": gradient.lessons,
}
"""What each recipe makes of a text that could be trained on as it is; maybe nothing."""

if TYPE_CHECKING:
    Recipe = str
else:
    Recipe = Literal[tuple(RECIPES)]  # settings refuse another name, and helps list them


@dataclass(frozen=True, slots=True)
class Written:
    """What the engine wrote to train on.

    Attributes:
        lessons: What to train on; the text itself where nothing usable was written.
        outputs: The generations that they come from.
        num_lines: Pairs, sentences and gaps among them.
        seconds_s: Wall time of the call.
    """

    lessons: Lessons
    outputs: tuple[Generation, ...]
    num_lines: int
    seconds_s: float


def write_lessons(writer: Writer, text: str, recipe: Recipe, num_rehearsed: int = 0) -> Written:
    """Return what to train on under a recipe.

    Args:
        writer: Writes, by the engine that will be trained.
        text: The snippet, or the evidence.
        recipe: What to make of it.
        num_rehearsed: Well-known questions with their answers to learn along, so that a memory is
            not the answer to everything (rehearsal, Robins 1995); 0 to `len(REHEARSED)`.

    Raises:
        EngineError: As `Engine.generate`.
    """
    start = time.perf_counter()
    whole = Lesson(text)
    lessons = RECIPES[recipe](writer, whole) or [whole]
    num_written = sum(lesson is not whole for lesson in lessons)  # one may say the very same
    lessons += [writer.pair(question, answer) for question, answer in REHEARSED[:num_rehearsed]]
    seconds_s = time.perf_counter() - start
    return Written(tuple(lessons), tuple(writer.outputs), num_written, seconds_s)
