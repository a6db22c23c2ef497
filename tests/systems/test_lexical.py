"""A system without an engine does what the others do: stepped, probed, forked, run, compared."""

from pathlib import Path

import pytest

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.core.task import Example, Gold, Paragraph, Task
from pmi_kernel.core.trace import StepKind
from pmi_kernel.episodes.episode import Episode, evaluate
from pmi_kernel.episodes.probes import Prober, verified_restore
from pmi_kernel.episodes.whatif import TapedEpisode
from pmi_kernel.reports.cards import read_cards
from pmi_kernel.reports.compare import compare
from pmi_kernel.runs import RunSettings, read_results, run, supervise
from pmi_kernel.systems import config_class, open_system

TOWERS = (
    Paragraph("Harrick Tower", ("The Harrick Tower was finished in 1902.", "It is in Ostermoor.")),
    Paragraph("Fenlow Tower", ("The Fenlow Tower was finished in 1871.", "Ada Brack drew it.")),
)


def config(**settings: object) -> SystemConfig:
    return config_class("lexical")(**settings)  # type: ignore[arg-type]


def asked(question: str, *answers: str, context: tuple[Paragraph, ...] = TOWERS) -> Example:
    return Example(Task("towers", question, context), Gold(answers))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("In what year was the Harrick Tower finished?", "1902"),
        ("Who drew the Fenlow Tower?", "Ada Brack"),
        ("Which was finished first, the Harrick Tower or the Fenlow Tower?", "the Fenlow Tower"),
        ("Which was finished later, the Harrick Tower or the Fenlow Tower?", "the Harrick Tower"),
        ("Was the Fenlow Tower finished in 1871?", "yes"),
        ("Was it ever struck by lightning?", "no"),
    ],
)
def test_what_the_question_asks_for_is_answered(question: str, answer: str) -> None:
    trace = Episode(open_system(config()), asked(question, answer)).run()
    assert trace.prediction == answer
    assert [step.kind for step in trace.steps] == [StepKind.SEARCH, "remember", StepKind.ANSWER]
    best, *others = trace.steps[-1].artifacts["candidates"]  # type: ignore[misc]
    assert best[0] == answer
    assert all(best[1] >= other[1] for other in others)


def test_without_paragraphs_the_answer_is_unknown() -> None:
    trace = Episode(open_system(config()), asked("Who drew it?", "Ada", context=())).run()
    assert trace.prediction == "unknown"


def test_probes_tell_what_was_remembered_from_what_was_not(sample: list[Example]) -> None:
    system = open_system(config(retriever="bm25"))
    example = asked("In what year was the Harrick Tower finished?", "1902")
    prober = Prober(system, example, control=sample[0].task)
    with verified_restore(system):
        episode = Episode(system, example, observer=prober)
        trace = episode.run()
    (card,) = episode.cards
    assert (card.answered.before, card.answered.after, card.answered.wrong) == (0, 1, 0)
    assert card.gold_nats.rise > 1 > (card.gold_nats.wrong_rise or 0)
    assert (card.drift_kl_nats, card.same_tokens) == (None, None)
    assert trace.is_restored is True


def test_a_search_and_a_memory_can_be_changed(sample: list[Example]) -> None:
    original = TapedEpisode(open_system(config()), asked("Who drew the Fenlow Tower?", "Ada Brack"))
    while original.step():
        pass
    other = original.fork(0, query="Harrick")
    misled = original.fork(1, wrong_passage=sample[0].task)
    for branch in (other, misled):
        while branch.step():
            pass
    assert other.trace.steps[0].text == "Harrick"
    assert misled.trace.steps[1].text != original.trace.steps[1].text
    assert misled.change == "wrong passage kept"
    with pytest.raises(ValueError, match="query cannot be changed"):
        original.fork(1, query="Harrick")


def test_it_runs_in_workers_resumes_and_compares(tmp_path: Path) -> None:
    settings = RunSettings(out=tmp_path / "a", workers=2, concurrency=3, limit=20, probe=True)
    supervise(settings, config())
    summary = supervise(settings.but(workers=1, limit=None), config()).summary
    assert (summary["num_episodes"], summary["num_pending"]) == (60, 0)
    assert summary["batch_invariant"] == "yes"
    run(RunSettings(out=tmp_path / "b"), config(retriever="bm25"))
    alone = read_results(tmp_path / "a")
    assert len(read_cards(tmp_path / "a")) == len(alone) == 60
    (difference,) = compare([tmp_path / "a", tmp_path / "b"]).differences
    assert difference.f1.n == 60


def test_it_is_misled_by_another_tasks_passages(sample: list[Example], tmp_path: Path) -> None:
    right, wrong = (
        run(RunSettings(out=tmp_path / name, wrong_passage=name == "wrong"), config()).summary
        for name in ("right", "wrong")
    )
    assert wrong["em"] < right["em"]


def test_it_is_a_floor(sample: list[Example]) -> None:
    system = open_system(config(retriever="bm25"))
    results = [evaluate(one, Episode(system, one).run()) for one in sample]
    assert sum(result.scores["em"] for result in results) >= 10
