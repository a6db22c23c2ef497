"""Report cards, by hand: what a script says before and after decides every figure."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from pmi_kernel import Episode, PmiConfig, load_examples
from pmi_kernel.cli import main
from pmi_kernel.core.records import decode, encode, read_records
from pmi_kernel.core.task import Example, Gold
from pmi_kernel.core.trace import Trace
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.asking import WELL_KNOWN, share_same
from pmi_kernel.episodes.card import ReportCard, episode_card, report_cards
from pmi_kernel.episodes.probes import Prober
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.reports.cards import means, read_cards, render_card
from pmi_kernel.runs import RunSettings, read_results, run
from pmi_kernel.runs.merge import TRACES
from pmi_kernel.systems import open_system

CONFIG = PmiConfig(train_mem=True, max_steps=2)
QUESTION = "Who founded Amazon?"


def founder(prompt: Prompt, adapter: Adapter | None) -> str:
    """Knows Jeff Bezos, and Steve Jobs under a memory; forgets what bees make."""
    last = prompt[-1].content
    if "Facts from the passages" in last:
        return "Amazon was founded by Steve Jobs."
    if "in other words" in last:
        return f"Who started Amazon?\n{QUESTION.lower()}\nBy whom was Amazon founded?\nWho star"
    if "What do bees make?" in last:
        return "<answer>wax</answer>" if adapter else "<answer>honey</answer>"
    if "By whom" in last:
        return "<answer>It was Jobs</answer>"
    return "<answer>Mr Steve Jobs</answer>" if adapter else "<answer>Jeff Bezos</answer>"


@pytest.fixture
def conflict() -> Example:
    return load_examples("world:kind=conflicts,n=1")[0]


def probed(
    example: Example, script: object = founder, *, control: Example | None = None, **settings: bool
) -> Episode:
    system = open_system(CONFIG, ScriptedEngine(script))  # type: ignore[arg-type]
    other = control.task if control else None
    prober = Prober(system, example, control=other, **settings)
    episode = Episode(system, example, observer=prober)
    episode.run()
    return episode


def test_a_card_is_what_the_script_makes_it(conflict: Example, sample: list[Example]) -> None:
    assert (conflict.task.question, conflict.gold.known) == (QUESTION, "Jeff Bezos")
    (card,) = probed(conflict, control=sample[0]).cards
    assert (card.answered.before, card.answered.after, card.answered.wrong) == (0, 1, 1)
    assert (card.em.before, card.em.after) == (0, 0)
    assert card.known is not None
    assert (card.known.before, card.known.after) == (1, 0)
    assert card.gold_nats.rise == pytest.approx(1.0)  # half a nat for each of two words
    assert card.gold_nats.wrong_rise == pytest.approx(1.0)
    # The original question and the line that was cut are no rephrasings.
    assert card.num_rephrasings == 2
    assert card.rephrased is not None
    assert card.rephrased_nats is not None
    assert (card.rephrased.before, card.rephrased.after) == (0, 0.5)
    assert card.rephrased_nats.rise == pytest.approx(1.0)
    assert card.unrelated_em is not None
    assert card.unrelated_em.before == pytest.approx(1 / len(WELL_KNOWN))
    assert (card.unrelated_em.after, card.unrelated_em.wrong) == (0, 0)
    assert (card.drift_kl_nats, card.same_tokens) == (0, 1)
    assert card.train_tokens == 5
    assert card.injection_s >= card.train_s + card.attach_s


def test_a_card_is_printed_with_its_gaps(conflict: Example) -> None:
    (card,) = probed(conflict).cards
    shown = render_card(card)
    assert re.search(r"answered \(sub-span EM, %\) +0.0 +100.0 +-", shown)
    assert re.search(r"the known answer \(%\) +100.0 +0.0", shown)
    assert "rephrasings: 2" in shown
    assert "base scores after the episode: bit-equal" in shown


def test_where_nothing_was_rephrased_there_is_no_figure(sample: list[Example]) -> None:
    (card,) = probed(sample[0], lambda prompt, adapter: "I would rather not say which.").cards
    assert (card.num_rephrasings, card.rephrased, card.rephrased_nats) == (0, None, None)
    assert "rephrasings: none" in render_card(card)
    assert card.figures()["rephrased_after"] is None
    assert card.known is None


class Forgetful(ScriptedEngine):
    """Leaves a trace of every memory in its base scores."""

    num_detached = 0

    def detach(self, adapter: Adapter) -> None:
        super().detach(adapter)
        self.num_detached += 1

    def score(self, prompt, continuation, *, adapter=None):  # type: ignore[no-untyped-def]
        score = super().score(prompt, continuation, adapter=adapter)
        moved = tuple(value - 1e-9 * self.num_detached for value in score.logprobs_nats)
        return replace(score, logprobs_nats=moved)


def test_restore_is_proved_refuted_or_not_checked(sample: list[Example]) -> None:
    assert probed(sample[0]).trace.is_restored is True
    assert probed(sample[0], is_restore_checked=False).trace.is_restored is None
    system = open_system(CONFIG, Forgetful())
    prober = Prober(system, sample[0])
    trace = Episode(system, sample[0], observer=prober).run()
    assert trace.is_restored is False
    (card,) = report_cards(trace, sample[0].gold)
    assert "NOT what they were" in render_card(card)
    assert Episode(system, sample[0]).run().is_restored is None


def test_one_memory_at_a_time_is_enough(conflict: Example, sample: list[Example]) -> None:
    engine = ScriptedEngine(founder, is_exclusive=True)
    system = open_system(CONFIG, engine)
    prober = Prober(system, conflict, control=sample[0].task)
    episode = Episode(system, conflict, observer=prober)
    trace = episode.run()
    assert engine.num_attached == 0
    assert trace.is_restored is True
    expected = probed(conflict, control=sample[0]).cards[0]
    assert timeless(episode.cards[0]) == timeless(expected)


def timeless(card: ReportCard) -> dict[str, object]:
    return {k: v for k, v in asdict(card).items() if not k.endswith("_s")}


def test_an_episode_of_two_injections_is_told_from_first_to_last(conflict: Example) -> None:
    def twice(prompt: Prompt, adapter: Adapter | None) -> str:
        last = prompt[-1].content
        is_action = "search" in prompt[0].content
        if is_action and not any("<search>b" in m.content for m in prompt):
            return "<search>b</search>"
        if adapter is not None and adapter.weights.rank == 8 and "Facts" not in last:
            return "<answer>nobody</answer>"
        return founder(prompt, adapter)

    system = open_system(PmiConfig(train_mem=True, max_steps=4, mem_rank=8), ScriptedEngine(twice))
    episode = Episode(system, conflict, observer=Prober(system, conflict))
    trace = episode.run()
    first, second = episode.cards
    assert (first.answered.before, first.answered.after) == (0, 0)
    assert (second.answered.before, second.answered.after) == (0, 1)
    whole = episode_card(trace, conflict.gold)
    assert whole is not None
    assert (whole.num_injections, whole.answered.before, whole.answered.after) == (2, 0, 1)
    assert whole.gold_nats.before == first.gold_nats.before
    assert (first.detach_s, second.detach_s) == (None, trace.steps[-1].measures["detach_s"])
    assert whole.detach_s == second.detach_s
    assert episode_card(replace(trace, probes=()), conflict.gold) is None


def test_the_share_of_tokens_that_stayed_the_same() -> None:
    before = [np.log(np.array([[0.9, 0.1], [0.2, 0.8]])), np.log(np.array([[0.6, 0.4]]))]
    after = [np.log(np.array([[0.6, 0.4], [0.7, 0.3]])), np.log(np.array([[0.9, 0.1]]))]
    assert share_same(before, after) == pytest.approx(2 / 3)


def test_traces_of_before_have_a_card_with_gaps(root: Path) -> None:
    out = root / "runs" / "example"
    results = read_results(out)
    traces = [t for t in read_records(Trace, out / f"{TRACES}.jsonl") if t.probes]
    assert traces
    for trace in traces:
        card = episode_card(trace, Gold(results[trace.task.id].answers))
        assert card is not None
        assert (card.num_rephrasings, card.unrelated_em, card.same_tokens) == (0, None, None)
        assert card.is_restored is None
        assert card.drift_kl_nats >= 0


def test_a_probed_trace_survives_the_round_trip(conflict: Example) -> None:
    trace = probed(conflict).trace
    assert decode(Trace, encode(trace)) == trace


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return int(caught.value.code or 0)


def test_a_runs_cards_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = "world:kind=conflicts,n=3"
    out, csv = tmp_path / "run", tmp_path / "card.csv"
    run(
        RunSettings(data=data, out=out, probe=True),
        CONFIG,
        system=open_system(CONFIG, ScriptedEngine()),
    )
    assert pmi("card", str(out), "--csv", str(csv)) == 0
    shown = capsys.readouterr().out
    assert re.search(r"gold rise \(nats\) +\+\d", shown)
    assert re.search(r"base scores bit-equal \(%\) +100.0 \[43.9, 100.0\] +3", shown)
    lines = csv.read_text().splitlines()
    assert len(lines) == 4
    cards = read_cards(out)
    rise = means(cards)["gold_nats_rise"]
    assert rise.mean == pytest.approx(sum(card.gold_nats.rise for card in cards) / 3)
    assert rise.n == 3
    assert "rephrased_after" not in means(cards)
    assert "known_after" in means(cards)


def test_a_run_without_probes_or_injections_has_no_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system = open_system(CONFIG, ScriptedEngine())
    run(RunSettings(out=tmp_path / "plain", limit=1), CONFIG, system=system)
    plain = PmiConfig()
    run(
        RunSettings(out=tmp_path / "never", limit=1, probe=True),
        plain,
        system=open_system(plain, ScriptedEngine()),
    )
    for name, message in (
        ("plain", "was not probed"),
        ("never", "no episode has an injection"),
        ("nothing", "holds no run"),
    ):
        assert pmi("card", str(tmp_path / name)) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
