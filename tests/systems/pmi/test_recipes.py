from typing import get_args

from pmi_kernel.engines.base import Lesson
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.systems.pmi.config import PmiConfig
from pmi_kernel.systems.pmi.recipes import RECIPES, Recipe, write_lessons
from pmi_kernel.systems.pmi.recipes.writer import Writer


def test_every_recipe_can_be_asked_for_by_name() -> None:
    names = get_args(PmiConfig.model_fields["mem_recipe"].annotation)
    assert names == get_args(Recipe) == tuple(RECIPES)


def test_a_sentence_that_repeats_the_text_is_a_written_line() -> None:
    engine = ScriptedEngine(["- Ada wrote it.\n"])
    written = write_lessons(Writer(engine, num_lines=2, shots=0), "Ada wrote it.", "paraphrase")
    assert written.lessons == (Lesson("Ada wrote it."),)
    assert written.num_lines == 1
