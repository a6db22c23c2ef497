from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.memory.lora import LoraRecipe
from pmi_kernel.sweep import sweep
from pmi_kernel.types import Example


def test_every_recipe_is_measured_against_the_same_base(sample: list[Example]) -> None:
    engine = ScriptedEngine()
    recipes = [LoraRecipe(steps=steps) for steps in (2, 4)]
    points = list(sweep(engine, sample[0], "some words to learn", recipes))
    assert [point.recipe for point in points] == recipes
    assert points[0].before_nats == points[1].before_nats
    assert points[0].after_nats > points[0].before_nats
    assert points[1].loss_nats < points[0].loss_nats
    assert engine.num_attached == 0


def test_a_sweep_that_is_left_early_leaves_nothing_attached(sample: list[Example]) -> None:
    engine = ScriptedEngine()
    points = sweep(engine, sample[0], "some words to learn", [LoraRecipe()] * 3)
    next(points)
    points.close()
    assert engine.num_attached == 0
