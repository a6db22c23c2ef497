"""PMI with one gradient step from a meta-trained start, instead of training."""

from pathlib import Path

import pytest
import torch

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import StepKind
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Engine, Lesson
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.episodes.probes import Prober
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.start import tensors_of
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig
from pmi_kernel.systems.start import read_start


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return load_examples("world:split=dev,n=2,paragraphs=3")


def test_a_memory_of_one_step_is_injected_probed_and_taken_out(
    tiny: str, trained: Path, engine: Engine, examples: list[Example]
) -> None:
    config = PmiConfig(
        model=tiny,
        train_mem=True,
        mem_recipe="gradient",
        mem_start=str(trained),
        mem_source="evidence",
        topk=2,
        max_steps=2,
        shots=0,
        answer_tokens=6,
    )
    system = open_system(config, engine)
    assert len(system.describe()["mem_start_sha256"]) == 64
    prober = Prober(system, examples[0], control=examples[1].task)
    with Episode(system, examples[0], observer=prober) as episode:
        trace = episode.run()
    inject = next(step for step in trace.steps if step.kind == StepKind.INJECT)
    assert inject.measures["train_steps"] == 1
    assert len(inject.text.splitlines()) == 2
    assert trace.probes[0].control is not None
    assert trace.is_restored


def test_a_second_memory_adds_to_the_first(engine: Engine, trained: Path) -> None:
    start, _ = read_start(str(trained))
    lora = LoraConfig(steps=1, rank=start.rank, alpha=start.scale, start=start, is_continued=True)
    one, two = Lesson("The river is the Amber."), Lesson("The mayor is Edith Thorn.")
    first = engine.train((one,), lora)
    adapter = engine.attach(first.weights)
    try:
        both = engine.train((two,), lora, adapter=adapter)
    finally:
        engine.detach(adapter)
    at_once = engine.train((two, one), lora)
    for name, tensor in tensors_of(both.weights).items():
        torch.testing.assert_close(tensors_of(at_once.weights)[name], tensor, rtol=0, atol=1e-6)
    assert at_once.num_tokens == first.num_tokens + both.num_tokens


def test_a_recipe_and_its_start_go_together() -> None:
    for settings in ({"mem_recipe": "gradient"}, {"mem_start": "regrad-smollm2"}):
        with pytest.raises(ConfigError, match="go together"):
            PmiConfig(**settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="strategy hot"):
        PmiConfig(mem_recipe="gradient", mem_start="x", strategy="inplace")
