from pmi_kernel import PmiConfig
from pmi_kernel.core.task import Example
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.studies.sweep import sweep
from pmi_kernel.systems import open_system


def test_every_lora_config_is_measured_against_the_same_base(sample: list[Example]) -> None:
    engine = ScriptedEngine()
    loras = [LoraConfig(steps=steps) for steps in (2, 4)]
    points = list(sweep(open_system(PmiConfig(), engine), sample[0], "some words to learn", loras))
    assert [point.lora for point in points] == loras
    assert points[0].before_nats == points[1].before_nats
    assert points[0].after_nats > points[0].before_nats
    assert points[1].loss_nats < points[0].loss_nats
    assert engine.num_attached == 0


def test_a_sweep_that_is_left_early_leaves_nothing_attached(sample: list[Example]) -> None:
    engine = ScriptedEngine()
    points = sweep(
        open_system(PmiConfig(), engine), sample[0], "some words to learn", [LoraConfig()] * 3
    )
    next(points)
    points.close()
    assert engine.num_attached == 0
