"""Retrievable gradients as a system: one step on what was found, in force for one episode alone."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.system import Misleads
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import StepKind, Trace
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Engine
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.episodes.probes import Prober
from pmi_kernel.episodes.whatif import TapedEpisode
from pmi_kernel.lora.start import weights_of
from pmi_kernel.reports.pages.render import static_html
from pmi_kernel.reports.pages.text import render_trace
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.systems import open_system
from pmi_kernel.systems.regrad.config import RegradConfig
from pmi_kernel.systems.regrad.system import GRADIENTS, RegradSystem
from pmi_kernel.systems.start import read_start

KINDS = [StepKind.SEARCH, GRADIENTS, StepKind.INJECT, StepKind.ANSWER]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return load_examples("world:split=dev,n=4,paragraphs=3")


@pytest.fixture(scope="module")
def config(tiny: str, trained: Path) -> RegradConfig:
    return RegradConfig(
        model=tiny, checkpoint=str(trained), topk=2, answer_tokens=6, device="cpu", dtype="float32"
    )


@pytest.fixture(scope="module")
def system(config: RegradConfig, engine: Engine) -> RegradSystem:
    system = open_system(config, engine)
    assert isinstance(system, RegradSystem)
    return system


def run(system: RegradSystem, example: Example) -> Trace:
    with Episode(system, example) as episode:
        return episode.run()


def test_an_episode_searches_takes_gradients_injects_and_answers(
    system: RegradSystem, examples: list[Example]
) -> None:
    trace = run(system, examples[0])
    search, taken, inject, answer = trace.steps
    assert [step.kind for step in trace.steps] == KINDS
    used = [passage for passage in search.passages if passage.text]
    assert taken.artifacts["titles"] == [passage.title for passage in used]
    assert taken.text.splitlines() == [f"{one.title}: {one.text}" for one in used]
    cosines = torch.tensor(taken.artifacts["cosines"])
    torch.testing.assert_close(cosines, cosines.T)
    torch.testing.assert_close(cosines.diag(), torch.ones(2))
    assert inject.measures["attached_bytes"] > 0
    assert answer.end_reason is not None
    assert run(system, examples[0]).prediction == trace.prediction


def test_a_memory_is_the_start_less_its_passages_steps(
    system: RegradSystem, examples: list[Example]
) -> None:
    learned = system.learn(examples[0].task)
    memory, start = system.memory(learned), system.start
    for name, tensor in start.theta.items():
        plain = tensor.clone()
        for gradient in learned.gradients:
            plain -= start.steps[name] * gradient.tensors[name]
        layer, _, part = name.rpartition(".")
        mine = (memory.a if part == "lora_A" else memory.b)[layer]
        torch.testing.assert_close(mine, plain, rtol=0, atol=1e-6)
    none = system.memory(learned, gamma=0.0)
    whole = weights_of(start.theta, rank=start.rank, alpha=start.scale)
    assert all(torch.equal(none.b[name], whole.b[name]) for name in whole.b)


def test_gradients_taken_together_are_those_taken_alone(
    system: RegradSystem, examples: list[Example]
) -> None:
    texts = [f"{p.title}: {p.text}" for e in examples for p in e.task.context][:5]
    together = system.engine.gradients(texts, system.start).of
    for text, batched in zip(texts, together, strict=True):
        (alone,) = system.engine.gradients([text], system.start).of
        assert (alone.num_tokens, alone.cut_tokens) == (batched.num_tokens, batched.cut_tokens)
        for name, tensor in alone.tensors.items():
            gap = (batched.tensors[name] - tensor).norm() / tensor.norm().clamp_min(1e-12)
            assert gap < 1e-5, name


def test_each_of_several_episodes_has_its_own_memory_and_leaves_none(
    system: RegradSystem, examples: list[Example]
) -> None:
    before = system.read("Who is it?", "It is I.")
    alone = [run(system, example) for example in examples]
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(lambda example: run(system, example), examples))
    for one, other in zip(alone, at_once, strict=True):
        assert one.prediction == other.prediction
    assert system.read("Who is it?", "It is I.") == before


def test_a_step_is_changed_without_touching_the_original(
    system: RegradSystem, examples: list[Example]
) -> None:
    episode = TapedEpisode(system, examples[1])
    while not episode.is_done:
        episode.step()
    original = episode.trace
    fields = {field.name for field in system.changes(original.steps[1])}
    assert fields == {"gamma", "without_1", "without_2"}
    for changes, weights in (({"without_1": True}, [0.0, 1.0]), ({"gamma": 0.5}, [1.0, 1.0])):
        branch = episode.fork(original.steps[1].index, **changes)
        while not branch.is_done:
            branch.step()
        assert branch.trace.steps[0].passages == original.steps[0].passages
        assert branch.trace.steps[1].artifacts["weights"] == weights
        norms = [trace.steps[2].artifacts["delta_norms"] for trace in (branch.trace, original)]
        assert norms[0] != norms[1]
    assert episode.trace == original


def test_an_answer_is_put_down_to_its_passages(
    config: RegradConfig, engine: Engine, examples: list[Example]
) -> None:
    system = open_system(config.but(attribute=True, unparsed="text"), engine)
    assert isinstance(system, RegradSystem)
    step = run(system, examples[0]).steps[-1]
    told = step.artifacts["attribution"]
    assert isinstance(told, dict)
    learned = system.learn(examples[0].task)
    assert told["titles"] == list(learned.titles)
    assert len(told["credit_nats"]) == 2
    # Of two passages, what one adds alone and what it adds to the other sum up to the whole.
    assert sum(told["credit_nats"]) == pytest.approx(
        told["whole_nats"] - told["none_nats"], abs=1e-4
    )
    assert told["alone_nats"] == pytest.approx(told["left_out_nats"][::-1], abs=1e-4)
    with pytest.raises(ConfigError, match="strategy hot"):
        config.but(attribute=True, strategy="inplace")


def test_a_probed_injection_has_its_control(system: RegradSystem, examples: list[Example]) -> None:
    prober = Prober(system, examples[0], control=examples[1].task)
    with Episode(system, examples[0], observer=prober) as episode:
        trace = episode.run()
    (probe,) = trace.probes
    assert probe.control is not None
    assert trace.is_restored
    assert isinstance(system, Misleads)
    misled = system.misled_by(examples[1].task)
    wrong, right = (run(one, examples[0]).steps[1] for one in (misled, system))
    assert wrong.artifacts["titles"] != right.artifacts["titles"]


def test_the_base_model_alone_is_an_arm(
    config: RegradConfig, engine: Engine, examples: list[Example]
) -> None:
    trace = run(open_system(config.but(icl=True), engine), examples[0])
    assert [step.kind for step in trace.steps] == [StepKind.SEARCH, StepKind.ANSWER]


def test_without_a_model_it_steps_all_the_same(examples: list[Example]) -> None:
    engine = ScriptedEngine(lambda prompt, adapter: "yes\n" if adapter else "no\n")
    system = open_system(RegradConfig(engine="scripted"), engine)
    trace = run(system, examples[0])
    assert ([step.kind for step in trace.steps], trace.prediction) == (KINDS, "yes")
    assert engine.num_attached == 0


def test_a_checkpoint_that_does_not_fit_is_refused(
    config: RegradConfig, engine: Engine, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        open_system(config.but(checkpoint=str(tmp_path / "x")), engine)
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    adapter = other / "step-00000002" / "start.json"
    adapter.write_text(adapter.read_text().replace("true", "false"))
    with pytest.raises(ConfigError, match=r"start\.json was altered"):
        open_system(config.but(checkpoint=str(other / "step-00000002")), engine)


def test_a_passage_of_too_few_tokens_is_an_error(system: RegradSystem) -> None:
    with pytest.raises(EngineError, match="two tokens or more"):
        system.engine.gradients(["x"], system.start)


def test_its_pages_show_gradients_and_credits(
    config: RegradConfig, engine: Engine, examples: list[Example]
) -> None:
    system = open_system(config.but(attribute=True, unparsed="text", without=(2,)), engine)
    trace = run(system, examples[0])
    shown = static_html(replay_nodes(trace))
    titles = trace.steps[1].artifacts["titles"]
    assert isinstance(titles, list)
    assert all(title in shown for title in titles)
    for text in ("Cosine between the passages", "left out", "Which passage answered", "step norm"):
        assert text in shown
    told = render_trace(trace)
    assert "nats per token before the step, weight 0" in told
    assert "nats of the answer" in told


def test_a_start_is_exported_in_half_the_room(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    for to, more in ((whole, ()), (half, ("--dtype", "bfloat16"))):
        with pytest.raises(SystemExit) as caught:
            main(["checkpoint", str(trained), "--export", str(to), *more])
        assert caught.value.code == 0
    (exact, _), (rounded, _) = read_start(str(whole)), read_start(str(half))
    for name, tensor in exact.theta.items():
        assert torch.equal(rounded.theta[name], tensor.bfloat16().float())
    name = "adapter_model.safetensors"
    assert (half / name).stat().st_size < 0.6 * (whole / name).stat().st_size
