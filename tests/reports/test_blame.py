from dataclasses import replace
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.probe import GoldScore, Probe, ProbeState
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, Step, StepKind, Trace
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.episode import Episode, evaluate
from pmi_kernel.reports.blame import Blame, blame, blame_episode
from pmi_kernel.runs import RunSettings, run
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig

CONFIG = PmiConfig(train_mem=True, topk=10, max_chars=100_000)


@pytest.fixture
def example(sample: list[Example]) -> Example:
    return next(e for e in sample if e.gold.answers[0] not in ("yes", "no"))


@pytest.fixture
def trace(example: Example) -> Trace:
    """Everything is retrieved and injected, and the answer is wrong."""
    whole = "\n".join(p.title + " " + p.text for p in example.task.context)
    engine = ScriptedEngine([whole, "<answer>nothing of it</answer>"])
    return Episode(open_system(CONFIG, engine), example).run()


def change(trace: Trace, kind: StepKind, **changes: object) -> Trace:
    steps = tuple(
        replace(step, **changes) if step.kind == kind else step  # type: ignore[arg-type]
        for step in trace.steps
    )
    return replace(trace, steps=steps)


def with_probe(trace: Trace, rise: float, answer: str) -> Trace:
    def state(nats: float, said: str) -> ProbeState:
        score = GoldScore(("gold",), (nats,))
        return ProbeState(said, said, score, score)

    probe = Probe(2, state(-5.0, "before"), state(-5.0 + rise, answer), None, None, 0.0, 0.0)
    return replace(trace, probes=(probe,))


def blamed(trace: Trace, example: Example) -> Blame:
    return blame_episode(trace, evaluate(example, trace), example)


def test_no_compression_is_blamed_where_the_evidence_itself_is_learned(example: Example) -> None:
    engine = ScriptedEngine(["<answer>nothing of it</answer>"])
    system = open_system(CONFIG.but(mem_source="evidence"), engine)
    assert blamed(Episode(system, example).run(), example) is Blame.NOT_PROBED


def test_the_first_stage_that_fails_is_blamed(trace: Trace, example: Example) -> None:
    gold = example.gold.answers[0]
    assert blamed(trace, example) is Blame.NOT_PROBED
    assert blamed(with_probe(trace, 1.0, "x"), example) is Blame.WRONG_ALTHOUGH_LEARNED
    assert blamed(with_probe(trace, -1.0, "x"), example) is Blame.NOT_LEARNED
    assert blamed(with_probe(trace, 1.0, gold), example) is Blame.LEARNED_BUT_NOT_USED
    lost = change(trace, StepKind.COMPRESS, text="Something else was written down.")
    assert blamed(lost, example) is Blame.LOST_IN_COMPRESSION
    assert blamed(change(lost, StepKind.SEARCH, passages=()), example) is Blame.LOST_IN_COMPRESSION
    right = change(lost, StepKind.ANSWER, text=gold)
    assert blamed(right, example) is Blame.RIGHT
    late = change(trace, StepKind.ANSWER, end_reason=EndReason.MAX_STEPS)
    assert blamed(late, example) is Blame.FORMAT


def test_a_search_without_the_supporting_sentences_is_blamed(
    trace: Trace, example: Example
) -> None:
    search = next(step for step in trace.steps if step.kind == StepKind.SEARCH)
    titles = {fact.title for fact in example.gold.supporting_facts}
    passages = tuple(p for p in search.passages if p.title not in titles)
    assert blamed(change(trace, StepKind.SEARCH, passages=passages), example) is (
        Blame.NOT_RETRIEVED
    )


def test_without_injection_only_retrieval_and_reading_can_fail(example: Example) -> None:
    plain = PmiConfig(topk=10, max_chars=100_000)
    engine = ScriptedEngine(["<answer>nothing of it</answer>"])
    trace = Episode(open_system(plain, engine), example).run()
    assert blamed(trace, example) is Blame.WRONG_ALTHOUGH_SHOWN
    alone = Trace(trace.task, "closed_book", "f", (replace(trace.steps[-1], index=0),))
    assert isinstance(alone.steps[0], Step)
    assert blamed(alone, example) is Blame.NOT_RETRIEVED


def test_a_run_is_split_by_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = PmiConfig(train_mem=True)
    run(RunSettings(out=tmp_path), config, system=open_system(config, ScriptedEngine()))
    assert len(blame(tmp_path)) == 60
    with pytest.raises(SystemExit) as end:
        main(["blame", str(tmp_path)])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "not retrieved" in out
    assert "60 episodes" in out
    with pytest.raises(ConfigError, match="holds no run"):
        blame(tmp_path / "nothing")


def test_data_that_is_not_what_was_run_is_refused(tmp_path: Path, root: Path) -> None:
    data, out = tmp_path / "data.json", tmp_path / "run"
    data.write_text((root / "data" / "sample" / "fictional_60.json").read_text())
    config = PmiConfig(train_mem=True)
    settings = RunSettings(data=str(data), out=out, limit=2)
    run(settings, config, system=open_system(config, ScriptedEngine()))
    assert len(blame(out)) == 2
    data.write_text(data.read_text() + "\n")
    with pytest.raises(DataError, match=r"data.json is no longer what .*run was run over"):
        blame(out)
