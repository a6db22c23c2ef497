"""An episode says how far it is, and can be stopped at every one of its reports."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import pytest

from pmi_kernel import PmiConfig
from pmi_kernel.core import progress
from pmi_kernel.core.errors import EngineError
from pmi_kernel.core.progress import Phase, Report, Watch, watched
from pmi_kernel.core.records import decode, encode
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import UNKNOWN, EndReason, StepKind, Trace
from pmi_kernel.engines.base import Adapter, Engine
from pmi_kernel.engines.scripted import ScriptedEngine, first_title
from pmi_kernel.episodes.asking import read_unrelated
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.episodes.probes import Prober, asked
from pmi_kernel.episodes.whatif import TapedEpisode
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.reports.pages.text import render_trace
from pmi_kernel.systems import open_system
from pmi_kernel.systems.chat import at_once
from tests.conftest import build_engine

CONFIG = PmiConfig(train_mem=True, mem_steps=3, max_steps=3)
SMALL = PmiConfig(
    train_mem=True,
    retriever="bm25",
    action_decoding="guided",
    snippet_tokens=12,
    answer_tokens=12,
    mem_steps=3,
    max_steps=2,
    shots=0,
    dtype="float32",
)
"""What the tiny model is through with in no time."""


class StopAt(Watch):
    """Asks for a stop at its k-th report (from 1); never where it is 0."""

    def __init__(self, k: int = 0) -> None:
        super().__init__(self.hear)
        self.k = k
        self.heard: list[Report] = []

    def hear(self, report: Report) -> None:
        self.heard.append(report)
        if len(self.heard) == self.k:
            self.stop()


class StopWhen(StopAt):
    """Asks for a stop when so much of a phase is done."""

    def __init__(self, phase: Phase, done: int) -> None:
        super().__init__()
        self.wanted = phase, done

    def hear(self, report: Report) -> None:
        super().hear(report)
        if (report.phase, report.done) == self.wanted:
            self.stop()


def probed(config: PmiConfig, engine: Engine, examples: list[Example]) -> Episode:
    system = open_system(config, engine)
    return Episode(
        system, examples[0], observer=Prober(system, examples[0], control=examples[1].task)
    )


def timeless(trace: Trace) -> Trace:
    steps = tuple(
        replace(step, measures={k: v for k, v in step.measures.items() if not k.endswith("_s")})
        for step in trace.steps
    )
    probes = tuple(replace(probe, probe_s=0.0) for probe in trace.probes)
    return replace(trace, steps=steps, probes=probes, probe_s=None)


def test_the_phases_of_an_episode_come_in_order(sample: list[Example]) -> None:
    watch = StopAt()
    with watched(watch):
        probed(CONFIG, ScriptedEngine(), sample).run()
    assert [phase for phase, _ in groupby(watch.heard, key=lambda report: report.phase)] == [
        Phase.SEARCHING,
        Phase.MEASURING_BEFORE,  # the base weights
        Phase.GENERATING,  # the snippet
        Phase.MEASURING_BEFORE,
        Phase.MEASURING_WRONG,
        Phase.TRAINING,
        Phase.MEASURING_AFTER,
        Phase.GENERATING,  # the answer
        Phase.SCORING,  # whether the base weights are restored
    ]
    training = [report for report in watch.heard if report.phase == Phase.TRAINING]
    assert [(r.done, r.total, r.loss_nats) for r in training] == [
        (0, 3, None),
        (1, 3, 4.0),
        (2, 3, 2.0),
        (3, 3, 1.0),
    ]
    after = [report for report in watch.heard if report.phase == Phase.MEASURING_AFTER]
    assert [report.done for report in after] == sorted(report.done for report in after)
    assert any(report.detail.startswith("generating token") for report in after)


def test_who_listens_changes_no_trace(sample: list[Example]) -> None:
    alone = probed(CONFIG, ScriptedEngine(), sample).run()
    with watched(StopAt()):
        heard = probed(CONFIG, ScriptedEngine(), sample).run()
    assert encode(timeless(heard)) == encode(timeless(alone))


def test_who_listens_to_a_model_changes_no_trace(engine: Engine, sample: list[Example]) -> None:
    alone = probed(SMALL, engine, sample).run()
    watch = StopAt()
    with watched(watch):
        heard = probed(SMALL, engine, sample).run()
    assert encode(timeless(heard)) == encode(timeless(alone))
    losses = [r.loss_nats for r in watch.heard if r.phase == Phase.TRAINING and r.done]
    inject = next(step for step in heard.steps if step.kind == StepKind.INJECT)
    assert losses == pytest.approx(inject.artifacts["losses_nats"])
    assert any(r.phase == Phase.GENERATING and r.done > 1 for r in watch.heard)


def test_a_stop_at_any_report_keeps_the_steps_so_far_and_takes_the_memory_out(
    sample: list[Example],
) -> None:
    watch = StopAt()
    with watched(watch):
        whole = timeless(probed(CONFIG, ScriptedEngine(), sample).run())
    for k in range(1, len(watch.heard) + 1):
        engine, stopping = ScriptedEngine(), StopAt(k)
        episode = probed(CONFIG, engine, sample)
        with watched(stopping):
            trace = episode.run()
        assert len(stopping.heard) == k
        assert engine.num_attached == 0
        *done, end = timeless(trace).steps
        assert tuple(done) == whole.steps[: len(done)]
        if end != whole.steps[-1]:  # else only the last check was left
            assert (end.kind, end.text) == (StepKind.ANSWER, UNKNOWN)
            assert end.end_reason is EndReason.STOPPED
            assert end.index == len(done)
        assert trace.probes == () or timeless(trace).probes == whole.probes
        assert decode(Trace, encode(trace)) == trace
        assert trace.is_restored is None
        assert episode.step() is None


@pytest.fixture(scope="module")
def inplace(engine_name: str, tiny: str) -> Iterator[Engine]:
    engine = build_engine(engine_name, tiny, "inplace")
    yield engine
    engine.close()


@pytest.mark.parametrize("strategy", ["hot", "inplace"])
@pytest.mark.parametrize(
    ("phase", "done"),
    [
        (Phase.GENERATING, 2),
        (Phase.MEASURING_BEFORE, 1),
        (Phase.TRAINING, 2),
        (Phase.MEASURING_AFTER, 2),
    ],
)
def test_base_weights_are_bit_equal_after_a_stop(
    request: pytest.FixtureRequest, sample: list[Example], strategy: str, phase: Phase, done: int
) -> None:
    engine = request.getfixturevalue("engine" if strategy == "hot" else "inplace")
    system = asked(open_system(SMALL, engine))
    before = read_unrelated(system)
    watch = StopWhen(phase, done)
    with watched(watch):
        trace = probed(SMALL, engine, sample).run()
    assert trace.end_reason is EndReason.STOPPED
    assert (watch.heard[-1].phase, watch.heard[-1].done) == (phase, done)
    assert read_unrelated(system) == before


def test_a_stopped_episode_goes_on_from_its_last_whole_step(sample: list[Example]) -> None:
    asked_for: list[str] = []

    def script(prompt: Prompt, adapter: Adapter | None) -> str:
        asked_for.append(prompt[-1].content)
        return first_title(prompt, adapter)

    def taped() -> TapedEpisode:
        return TapedEpisode(open_system(CONFIG, ScriptedEngine(script)), sample[0], is_probed=True)

    def run(episode: TapedEpisode) -> Trace:
        while episode.step() is not None:
            pass
        return episode.trace

    watch = StopAt()
    with watched(watch):
        whole = timeless(run(taped()))
    (compress,) = [text for text in asked_for if "Facts from the passages" in text]
    for k in range(1, len(watch.heard) + 1):
        asked_for.clear()
        episode = taped()
        with watched(StopAt(k)):
            run(episode)
        stopped = episode.trace
        if episode.is_stopped:
            assert not episode.is_done
            episode.reopen()
        assert timeless(run(episode)) == replace(whole, is_restored=episode.trace.is_restored)
        assert episode.is_done
        if any(step.kind == StepKind.COMPRESS for step in stopped.steps):
            assert asked_for.count(compress) == 1  # what is whole is not asked for again
        if stopped.end_reason is EndReason.STOPPED:
            assert episode.trace.is_restored
            assert episode.trace.probe_s > (stopped.probe_s or 0)


def test_seconds_of_measuring_are_a_measure_of_their_own(sample: list[Example]) -> None:
    trace = probed(CONFIG, ScriptedEngine(), sample).run()
    (probe,) = trace.probes
    assert trace.probe_s is not None
    assert trace.probe_s > probe.probe_s > 0  # the last check comes after the probe
    assert all("probe_s" not in step.measures for step in trace.steps)
    assert f"measuring: {trace.probe_s:.1f} s" in render_trace(trace)
    bare = Episode(open_system(CONFIG, ScriptedEngine()), sample[0]).run()
    assert bare.probe_s is None


def test_where_one_of_several_calls_fails_the_others_are_stopped() -> None:
    def fails() -> None:
        raise EngineError("no")

    def endless() -> None:
        while True:
            progress.check()

    with pytest.raises(EngineError, match="no"):
        at_once([fails, endless, endless])
    progress.check()
