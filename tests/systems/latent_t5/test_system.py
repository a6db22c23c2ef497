"""Both systems as episodes: read, compress, answer with the gate closed and open."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.records import decode, encode
from pmi_kernel.core.system import Asks, Changes, Misleads, Question
from pmi_kernel.core.task import Example, Gold, Paragraph, Task
from pmi_kernel.core.trace import PassageUse, Step, StepKind, Trace
from pmi_kernel.data import load_examples
from pmi_kernel.episodes.episode import Episode, evaluate
from pmi_kernel.episodes.probes import Prober
from pmi_kernel.episodes.whatif import TapedEpisode
from pmi_kernel.reports.pages.render import static_html
from pmi_kernel.reports.pages.select import mass_on
from pmi_kernel.reports.pages.text import render_trace
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.systems import open_system
from pmi_kernel.systems.latent_t5.answering import ENCODE, Loaded
from pmi_kernel.systems.latent_t5.baseline import BaselineT5System
from pmi_kernel.systems.latent_t5.config import BaselineT5Config, LatentT5Config
from pmi_kernel.systems.latent_t5.model import LatentT5
from pmi_kernel.systems.latent_t5.system import CLOSED, SELECT, LatentT5System
from tests.systems.latent_t5.conftest import pmi

KINDS = [StepKind.SEARCH, ENCODE, SELECT, CLOSED, StepKind.ANSWER]


@pytest.fixture(scope="module", params=["asked", "blind"])
def system(request: pytest.FixtureRequest) -> LatentT5System:
    checkpoint = request.getfixturevalue(request.param)
    system = open_system(LatentT5Config(checkpoint=checkpoint, device="cpu"))
    assert isinstance(system, LatentT5System)
    return system


def run(system: LatentT5System | BaselineT5System, example: Example) -> Trace:
    with Episode(system, example) as episode:
        return episode.run()


def step_of(trace: Trace, kind: str) -> Step:
    return next(step for step in trace.steps if step.kind == kind)


def test_an_episode_reads_compresses_and_answers_twice(
    system: LatentT5System, examples: list[Example]
) -> None:
    trace = run(system, examples[0])
    assert [step.kind for step in trace.steps] == KINDS
    search, select = step_of(trace, StepKind.SEARCH), step_of(trace, SELECT)
    assert [one.title for one in search.passages] == [p.title for p in examples[0].task.context]
    assert select.measures["latents"] == 4
    assert sum(count for *_, count in select.artifacts["lines"]) == len(select.artifacts["words"])  # type: ignore[arg-type, attr-defined]
    for row in select.artifacts["attention"]:  # type: ignore[attr-defined]
        assert sum(row) == pytest.approx(1000, abs=len(row))
    assert trace.end_reason is not None
    assert decode(Trace, encode(trace)) == trace
    mass = mass_on(select, examples[0].gold)
    assert mass is not None
    assert 0 < mass < 1


def test_what_is_kept_is_the_latents_where_they_do_not_ask(
    asked: str, blind: str, examples: list[Example]
) -> None:
    for checkpoint, is_constant in ((asked, False), (blind, True)):
        system = LatentT5System(LatentT5Config(checkpoint=checkpoint, device="cpu"))
        sizes = {
            step_of(run(system, example), SELECT).measures["attached_bytes"] for example in examples
        }
        assert (sizes == {4 * 192 * 4}) is is_constant


def test_latents_that_were_kept_answer_as_the_states_do(
    blind: str, examples: list[Example]
) -> None:
    system = LatentT5System(LatentT5Config(checkpoint=blind, device="cpu"))
    task, model = examples[0].task, system.model
    assert isinstance(model, LatentT5)
    with torch.inference_mode():
        memory = system.memory(task.context)
        assert memory.read.states.numel() == 0
        from_latents = system.encoded(replace(task, context=()), memory)
        ids = torch.tensor([memory.context.ids])
        states = replace(memory, read=model.read(ids, torch.ones_like(ids, dtype=torch.bool)))
        from_states = system.encoded(replace(task, context=()), states)
    assert torch.equal(from_latents.states, from_states.states)
    assert from_latents.weights is not None
    assert from_states.weights is not None
    assert torch.equal(from_latents.weights, from_states.weights)


def test_the_closed_answer_is_that_to_the_question_alone(
    system: LatentT5System, examples: list[Example]
) -> None:
    closed = {step_of(run(system, one), CLOSED).raw for one in examples[:2]}
    alone = {reply.answer for reply in system.ask([Question.of(one) for one in examples[:2]])}
    assert closed == alone
    shut = LatentT5System(system.config.but(gate=0.0), system.loaded)
    trace = run(shut, examples[0])
    assert step_of(trace, CLOSED).raw == trace.steps[-1].raw


def test_what_the_encoder_cannot_take_is_cut_and_shown(
    system: LatentT5System, examples: list[Example]
) -> None:
    from dataclasses import replace

    loaded = system.loaded
    assert isinstance(loaded, Loaded)
    limits = replace(loaded.built.limits, context=150)
    short = replace(loaded, built=replace(loaded.built, limits=limits))
    read = step_of(run(LatentT5System(system.config, short), examples[0]), ENCODE)
    assert read.measures["context_tokens"] == 150
    assert read.measures["cut_tokens"] > 0
    assert [one.use for one in read.passages][-1] is PassageUse.LEFT_OUT
    assert PassageUse.CUT in {one.use for one in read.passages}


def test_an_episode_is_changed_at_its_steps(
    system: LatentT5System, examples: list[Example]
) -> None:
    assert isinstance(system, Changes)
    episode = TapedEpisode(system, examples[0])
    while episode.step():
        pass
    trace = episode.trace
    titles = [one.title for one in examples[0].task.context]
    shut = episode.fork(2, gate=0.0)
    few = episode.fork(2, num_latents=1)
    less = episode.fork(0, without_2=True)
    other = episode.fork(0, other=examples[1].task)
    for branch in (shut, few, less, other):
        while branch.step():
            pass
    assert shut.trace.steps[-1].raw == step_of(trace, CLOSED).raw
    assert step_of(few.trace, SELECT).measures["latents"] == 1
    assert step_of(less.trace, SELECT).artifacts["titles"] == [titles[0], titles[2]]
    assert less.change == f"without “{titles[1]}”"
    other_titles = [one.title for one in examples[1].task.context]
    assert step_of(other.trace, SELECT).artifacts["titles"] == other_titles
    same = episode.fork(3)
    while same.step():
        pass
    assert [step.text for step in same.trace.steps] == [step.text for step in trace.steps]
    with pytest.raises(ValueError, match="cannot be changed at a step of kind answer"):
        episode.fork(4, gate=1.0)
    with pytest.raises(ConfigError, match="gate"):
        episode.fork(2, gate=7.0)


def test_another_questions_context_is_its_control(
    system: LatentT5System, examples: list[Example]
) -> None:
    assert isinstance(system, Misleads)
    misled = system.misled_by(examples[1].task)
    select = step_of(run(misled, examples[0]), SELECT)  # type: ignore[arg-type]
    assert select.artifacts["titles"] == [one.title for one in examples[1].task.context]
    with pytest.raises(EngineError, match="nothing was found"):
        system.misled_by(Task("bare", "What is it?"))


def test_it_is_probed_around_what_it_read(system: LatentT5System, examples: list[Example]) -> None:
    assert isinstance(system, Asks)
    prober = Prober(system, examples[0], control=examples[1].task)
    with Episode(system, examples[0], observer=prober) as episode:
        trace = episode.run()
    [probe] = trace.probes
    assert probe.step == 2
    assert trace.is_restored is True
    assert probe.before.gold_no_evidence.total_nats != probe.after.gold_no_evidence.total_nats
    assert probe.control is not None
    assert "".join(probe.after.gold.tokens).strip() == examples[0].gold.answers[0]
    assert probe.drift_kl_nats is not None


def test_gold_is_read_in_training_only(system: LatentT5System, examples: list[Example]) -> None:
    from dataclasses import replace

    junk = replace(examples[0], gold=Gold(("junk",)))
    one, other = run(system, examples[0]), run(system, junk)
    assert [step.artifacts for step in one.steps] == [step.artifacts for step in other.steps]
    assert [step.raw for step in one.steps] == [step.raw for step in other.steps]


def test_the_page_is_a_heat_map_over_the_contexts_own_words(
    system: LatentT5System, examples: list[Example]
) -> None:
    trace = run(system, examples[0])
    html = static_html(replay_nodes(trace, evaluate(examples[0], trace)))
    assert html.count('data-read="heat"') == 1
    assert 'max="4"' in html
    assert "support mass" in html
    assert "pmi-gold" in html
    for word in examples[0].task.context[0].sentences[0].split():
        assert f">{word}<" in html.replace("&#39;", "'")
    text = render_trace(trace)
    assert "looked at most" in text
    assert "4. closed" in text


def test_nothing_read_and_no_latent_used_are_shown_too(system: LatentT5System) -> None:
    bare = Example(Task("bare", "What is it?"), Gold(("it",)))
    none = LatentT5System(system.config.but(num_latents=0), system.loaded)
    [example] = load_examples("first:1:sample")
    for trace in (run(system, bare), run(none, example)):
        assert "no latent was used" in static_html(replay_nodes(trace))
        assert trace.steps[-1].end_reason is not None


def test_the_baseline_reads_question_and_context(baseline: str, examples: list[Example]) -> None:
    system = BaselineT5System(BaselineT5Config(checkpoint=baseline, device="cpu"))
    trace = run(system, examples[0])
    assert [step.kind for step in trace.steps] == [StepKind.SEARCH, ENCODE, StepKind.ANSWER]
    assert trace.steps[1].measures["cut_tokens"] >= 0
    alone, shown = system.ask(
        [Question("Who?", "Ada"), Question("Who?", "Ada", evidence="Ada: Ada plays.")]
    )
    assert alone.gold is not None
    assert shown.gold is not None
    assert alone.gold.total_nats != shown.gold.total_nats


@pytest.mark.parametrize(
    ("checkpoint", "told"), [("nowhere", "there is no such folder"), ("", "pmi train latent_t5")]
)
def test_a_checkpoint_that_is_not_there_is_named(checkpoint: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_system(LatentT5Config(checkpoint=checkpoint))


def test_another_systems_checkpoint_is_refused(baseline: str, asked: str) -> None:
    with pytest.raises(ConfigError, match="baseline_t5"):
        open_system(LatentT5Config(checkpoint=baseline))
    with pytest.raises(ConfigError, match="latent_t5"):
        open_system(BaselineT5Config(checkpoint=asked))


def test_a_device_that_is_not_there_is_named(asked: str) -> None:
    with pytest.raises(ConfigError, match="device 'cuda:99'"):
        open_system(LatentT5Config(checkpoint=asked, device="cuda:99"))


def test_a_run_of_both_can_be_made_and_compared(
    asked: str, baseline: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", "world:split=dev,n=3,paragraphs=2", "--device", "cpu"]
    for name, checkpoint in (("latent_t5", asked), ("baseline_t5", baseline)):
        out = ["--out", str(tmp_path / name)]
        assert pmi("run", "--system", name, "--checkpoint", checkpoint, *data, *out) == 0
    capsys.readouterr()
    assert pmi("compare", str(tmp_path / "latent_t5"), str(tmp_path / "baseline_t5")) == 0
    assert "latent_t5" in capsys.readouterr().out


def test_choices_are_read_as_their_options(system: LatentT5System) -> None:
    from pmi_kernel.core.answers import AnswerForm, AnswerKind

    form = AnswerForm(AnswerKind.YES_NO)
    context = (Paragraph("Ada", ("Ada plays.",)),)
    example = Example(Task("choice", "Does Ada play?", context, form), Gold(("yes",)))
    last = run(system, example).steps[-1]
    assert last.text in ("yes", "no", "unknown")
