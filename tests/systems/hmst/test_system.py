"""The hierarchy as a system: episodes, questions outside them, and what can be changed."""

from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.records import read_records
from pmi_kernel.core.system import Asks, Changes, Misleads, Question
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import Step, StepKind, Trace
from pmi_kernel.data import load_examples
from pmi_kernel.episodes.episode import Episode, evaluate
from pmi_kernel.reports.pages.render import static_html
from pmi_kernel.reports.pages.text import render_trace
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.systems import open_system
from pmi_kernel.systems.hmst.config import HmstConfig
from pmi_kernel.systems.hmst.system import EMPTY, TELL, HmstSystem


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(load_examples("world:split=dev,n=3,paragraphs=3"))


@pytest.fixture(scope="module")
def system(trained: Path) -> HmstSystem:
    config = HmstConfig(
        checkpoint=str(trained), decide="always", keep_recent=1, max_new_tokens=4, after_no="keep"
    )
    found = open_system(config)
    assert isinstance(found, HmstSystem)
    return found


def of_kind(steps: list[Step], kind: str) -> Step:
    [found] = [one for one in steps if one.kind == kind]
    return found


def test_an_episode_tells_and_asks(system: HmstSystem, examples: list[Example]) -> None:
    task = examples[0].task
    steps = list(system.steps(task))
    assert [one.kind for one in steps] == [StepKind.SEARCH, EMPTY, TELL, StepKind.ANSWER]
    told = of_kind(steps, TELL)
    assert told.measures["episodic_entries"] == 1
    assert told.measures["semantic_entries"] == 2
    empty, answer = of_kind(steps, EMPTY), of_kind(steps, StepKind.ANSWER)
    assert empty.measures["fetched"] == 0
    assert answer.measures["fetched"] == 3
    assert answer.measures["flops"] > empty.measures["flops"]
    assert all(one.title in answer.prompt for one in task.context)
    assert not any(one.title in empty.prompt.partition("question:")[0] for one in task.context)
    assert 0 <= answer.measures["verdict"] <= 1
    result = Episode(system, examples[0]).run()
    assert result.prediction == answer.text


def test_decisions_are_shown_with_what_was_fetched_and_run(
    system: HmstSystem, examples: list[Example]
) -> None:
    example = examples[0]
    trace = Episode(system, example).run()
    shown = static_html(replay_nodes(trace, evaluate(example, trace)))
    titles = [one.title for one in example.task.context]
    for text in ("Answer of empty memories", "Tell the memories", "What was decided", *titles):
        assert text in shown
    assert shown.count('<th scope="row">episodic</th>') == 1
    assert shown.count('<th scope="row">semantic</th>') == 2
    counts = trace.steps[-1].artifacts["experts"]
    assert isinstance(counts, list)
    for block in counts:
        most = max(block)
        assert f'<td style="--heat:1.0">{most}</td>' in shown
    told = render_trace(trace)
    assert "decided: blocks run" in told
    assert f"{titles[0]}: semantic" in told


def test_an_episode_leaves_nothing_behind(system: HmstSystem, examples: list[Example]) -> None:
    first = of_kind(list(system.steps(examples[0].task)), StepKind.ANSWER)
    list(system.steps(examples[1].task))
    again = of_kind(list(system.steps(examples[0].task)), StepKind.ANSWER)
    assert again.prompt == first.prompt
    assert again.text == first.text


def test_its_control_is_told_another_questions_paragraphs(
    system: HmstSystem, examples: list[Example]
) -> None:
    assert isinstance(system, Misleads)
    other = system.misled_by(examples[1].task)
    answer = of_kind(list(other.steps(examples[0].task)), StepKind.ANSWER)
    assert all(one.title in answer.prompt for one in examples[1].task.context)
    with system.mislearned(examples[1].task) as state:
        assert state is not None


def test_it_can_be_asked(system: HmstSystem, examples: list[Example]) -> None:
    assert isinstance(system, Asks)
    told = of_kind(list(system.steps(examples[0].task)), TELL)
    question = Question.of(examples[0])
    [after], [before] = system.ask([question], told.state), system.ask([question])
    assert after.gold is not None
    assert before.gold is not None
    assert after.gold != before.gold
    scores = system.read(question.text, question.gold, told.state)
    assert scores == system.read(question.text, question.gold, told.state)
    assert sum(scores) < 0
    [rows] = system.next_tokens([(question.text, question.gold)], told.state)
    assert rows.shape[0] == len(scores)
    [shown] = system.ask([Question(question.text, evidence="One line.\nAnother line.")])
    assert isinstance(shown.answer, str)


@pytest.mark.parametrize(
    ("changes", "layers", "fetched"),
    [
        ({"num_layers": 2}, 2, 3),
        ({"no_episodic": True}, 4, 2),
        ({"num_entries": 0}, 4, 1),
        ({"without_semantic": True}, 4, 1),
        ({"without_episodic": True, "num_entries": 1}, 4, 1),
        ({"consolidate": True}, 4, 3),
        ({"one_expert": True, "no_verify": True}, 4, 3),
    ],
)
def test_each_decision_can_be_changed(
    system: HmstSystem,
    examples: list[Example],
    changes: dict[str, object],
    layers: int,
    fetched: int,
) -> None:
    assert isinstance(system, Changes)
    steps = list(system.steps(examples[0].task))
    branch = system.branch().fork(0, of_kind(steps, TELL), changes)
    found = list(branch.steps(examples[0].task))
    answer = of_kind(found, StepKind.ANSWER)
    assert answer.measures["layers"] == layers
    assert answer.measures["fetched"] == fetched
    assert ("verdict" in answer.measures) is not changes.get("no_verify", False)
    if "one_expert" in changes:
        blocks = answer.artifacts["experts"]
        assert isinstance(blocks, list)
        assert all(sum(block[2:]) == 0 for block in blocks)
    if "consolidate" in changes:
        assert of_kind(found, TELL).measures["episodic_entries"] == 0


def test_what_cannot_be_changed_is_refused(system: HmstSystem, examples: list[Example]) -> None:
    steps = list(system.steps(examples[0].task))
    told = of_kind(steps, TELL)
    with pytest.raises(ValueError, match="cannot be changed"):
        system.fork(0, told, {"gate": 1})
    with pytest.raises(ValueError, match="the base has"):
        system.fork(0, told, {"num_layers": 99})
    assert system.changes(of_kind(steps, EMPTY)) == ()


@pytest.mark.parametrize("checkpoint", ["", "nowhere"])
def test_a_checkpoint_is_needed(checkpoint: str) -> None:
    with pytest.raises(ConfigError, match="pmi train hmst"):
        HmstSystem(HmstConfig(checkpoint=checkpoint))
    with pytest.raises(ConfigError, match="not a checkpoint of 'hmst'"):
        HmstSystem(HmstConfig(checkpoint="regrad-smollm2"))


def test_each_decision_can_be_forced_from_the_command_line(trained: Path, tmp_path: Path) -> None:
    words = (
        "--system hmst --episodic no --num_entries 1 --verify no --num_layers 2 --experts 0 1 "
        "--keep_recent 0 --max_new_tokens 2 --data world:split=dev,n=1,paragraphs=2"
    )
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["run", *words.split(), "--checkpoint", str(trained), "--out", str(out)])
    assert ended.value.code == 0
    [trace] = read_records(Trace, out / "episode_trace.jsonl")
    answer = of_kind(list(trace.steps), StepKind.ANSWER)
    assert answer.measures["layers"] == 2
    assert answer.measures["fetched"] == 1
    assert "verdict" not in answer.measures


def test_what_the_base_has_not_cannot_be_forced(trained: Path) -> None:
    for wrong in ({"num_layers": 9}, {"experts": (8,)}):
        with pytest.raises(ConfigError, match="the base has"):
            HmstSystem(HmstConfig(checkpoint=str(trained)).but(**wrong))
