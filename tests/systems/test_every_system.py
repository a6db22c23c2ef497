"""Facts that hold for every system; a new one joins by its name alone."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pmi_kernel.core.records import encode
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.task import Example, Gold, SupportingFact
from pmi_kernel.core.trace import Trace
from pmi_kernel.engines.base import Engine
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.episode import Episode, evaluate
from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.retrieval.foreseen import foreseen
from pmi_kernel.systems import SYSTEMS, config_class, open_system

JUNK = Gold(("junk", "no"), (SupportingFact("nowhere", 99),))
TRAINED: dict[str, Mapping[str, object]] = {"pmi": {"train_mem": True, "mem_steps": 2}}


@pytest.fixture(scope="module", autouse=True)
def _what_needs_a_checkpoint_has_one(checkpoints: dict[str, str]) -> None:
    for name, checkpoint in checkpoints.items():
        TRAINED[name] = {"checkpoint": checkpoint, "device": "cpu"}
    TRAINED["hmst"] = {**TRAINED["hmst"], "max_new_tokens": 3, "topk": 2, "keep_recent": 1}


def config(name: str, **settings: object) -> SystemConfig:
    return config_class(name)(**{**TRAINED.get(name, {}), **settings})  # type: ignore[arg-type]


def timeless(trace: Trace) -> str:
    return re.sub(r'("[a-z_]*_s": )[0-9.e-]+', r"\g<1>0", encode(trace))


@pytest.mark.parametrize("name", SYSTEMS)
def test_gold_never_reaches_a_system(name: str, sample: list[Example]) -> None:
    system = open_system(config(name), ScriptedEngine())
    for example in sample[:10]:
        junk = dataclasses.replace(example, gold=JUNK, type="x", level="y")
        assert timeless(Episode(system, example).run()) == timeless(Episode(system, junk).run())


@pytest.mark.parametrize("name", SYSTEMS)
def test_gold_never_reaches_a_system_with_a_model(
    name: str, sample: list[Example], engine: Engine, trained: Path
) -> None:
    few = {"shots": 0, "answer_tokens": 8, "max_new_tokens": 8}
    few |= {"checkpoint": str(trained)} if name == "regrad" else {}
    taken = {k: v for k, v in few.items() if k in config_class(name).model_fields}
    system = open_system(config(name, **taken), engine)
    junk = dataclasses.replace(sample[0], gold=JUNK)
    assert timeless(Episode(system, sample[0]).run()) == timeless(Episode(system, junk).run())


@pytest.mark.parametrize("name", SYSTEMS)
def test_stepping_equals_running(name: str, sample: list[Example]) -> None:
    system = open_system(config(name), ScriptedEngine())
    for example in sample[:5]:
        episode = Episode(system, example)
        steps = []
        while (step := episode.step()) is not None:
            steps.append(step)
        assert tuple(steps) == episode.trace.steps
        assert timeless(episode.trace) == timeless(Episode(system, example).run())


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_episode_ends_with_an_answer_and_leaves_nothing(
    name: str, sample: list[Example]
) -> None:
    engine = ScriptedEngine()
    system = open_system(config(name), engine)
    for example in sample:
        trace = Episode(system, example).run()
        result = evaluate(example, trace)
        assert result.prediction == trace.steps[-1].text
        assert [step.index for step in trace.steps] == list(range(len(trace.steps)))
        assert engine.num_attached == 0


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_first_search_is_foreseen_without_a_model(name: str, sample: list[Example]) -> None:
    settings = config(name)
    if not isinstance(settings, RetrievalConfig):
        return
    settings = settings.but(retriever="bm25", topk=2, max_chars=300)
    system = open_system(settings, ScriptedEngine())
    for example in sample[:5]:
        first = Episode(system, example).step()
        told = foreseen(settings, example.task)
        assert first is not None
        assert (first.kind, first.text, first.passages) == (told.kind, told.text, told.passages)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_fingerprint_follows_the_settings(name: str) -> None:
    assert config(name).fingerprint() == config(name).fingerprint()
    assert config(name).fingerprint() != config(name, seed=1).fingerprint()
