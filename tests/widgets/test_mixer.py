"""The mixer: gradients that are taken once and added up otherwise at every move."""

from collections.abc import Iterator

import pytest

from pmi_kernel.data import load_examples
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.systems import open_system
from pmi_kernel.systems.regrad.config import RegradConfig
from pmi_kernel.systems.regrad.system import RegradSystem
from widgets import MemoryMixer


@pytest.fixture
def mixer() -> Iterator[MemoryMixer]:
    engine = ScriptedEngine(lambda prompt, adapter: f"{'under' if adapter else 'without'} it\n")
    system = open_system(RegradConfig(engine="scripted", topk=2), engine)
    assert isinstance(system, RegradSystem)
    mixer = MemoryMixer(system, load_examples("world:split=dev,n=1,paragraphs=3")[0])
    mixer.wait()
    yield mixer
    assert engine.num_attached == 0
    mixer.close()


def test_it_opens_with_the_whole_memory_and_its_answer(mixer: MemoryMixer) -> None:
    shown = mixer.html()
    assert [row[:3] for row in mixer.answers] == [("1", "1 2", "under it")]
    assert mixer.status == "Answered: under it"
    assert shown.count('type="checkbox"') == 2
    assert mixer.example.task.question in shown


def test_a_move_asks_again_and_a_rest_does_not(mixer: MemoryMixer) -> None:
    mixer.on_mix({}, {"gamma": "0.5", "kept_0": True, "kept_1": False})
    mixer.wait()
    mixer.on_mix({}, {"gamma": "0.5", "kept_0": True, "kept_1": False})
    mixer.on_mix({}, {"gamma": "0", "kept_0": False, "kept_1": False})
    mixer.wait()
    assert [row[:2] for row in mixer.answers] == [("0", "none"), ("0.5", "1"), ("1", "1 2")]
    with pytest.raises(ValueError, match="2 passages, and 1 choices"):
        mixer.mix(1.0, (True,))
