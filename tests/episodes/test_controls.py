"""The wrong passage: it must not tell the answer by chance."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pmi_kernel import PmiConfig, load_examples
from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.core.task import Example, Gold, Paragraph, Task
from pmi_kernel.episodes.controls import Control, Controls
from pmi_kernel.runs import RunSettings, read_results, run


def example(id_: str, text: str, *answers: str) -> Example:
    return Example(Task(id_, "Who?", (Paragraph("Title", (text,)),)), Gold(answers or ("none",)))


def chosen(example: Example, examples: Sequence[Example]) -> tuple[str | None, int]:
    control = Controls(examples).of(example)
    return control.task and control.task.id, control.num_passed_over


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (("nobody",), ("b", 0)),
        (("The Red Carpets!",), ("c", 1)),
        (("red carpet",), ("b", 0)),
        (("nobody", "blue"), ("b", 0)),
        (("red", "blue"), ("d", 2)),
        (("title",), (None, 3)),
        (("yes",), ("b", 0)),
        (("no",), ("b", 0)),
        (("a",), ("b", 0)),
    ],
)
def test_a_control_is_the_next_whose_context_does_not_tell_the_answer(
    answers: tuple[str, ...], expected: tuple[str | None, int]
) -> None:
    first = example("a", "Nothing.", *answers)
    others = [
        example("d", "Green, yes."),
        example("b", "They sell red\ncarpets, no?"),
        example("c", "All blue."),
    ]
    assert chosen(first, [others[0], first, *others[1:]]) == expected


def test_the_last_question_goes_on_with_the_first() -> None:
    examples = [example(name, "Nothing.") for name in "abc"]
    assert chosen(examples[2], examples) == ("a", 0)
    assert Controls([examples[0]]).of(examples[0]) == Control(None, 0)


def test_no_control_of_a_world_holds_the_answer() -> None:
    examples = load_examples("world:hops=1,n=40")
    controls = [Controls(examples).of(example) for example in examples]
    assert sum(control.num_passed_over > 0 for control in controls) == 2
    for one, control in zip(examples, controls, strict=True):
        assert control.task is not None
        context = normalize_answer(" ".join(p.text for p in control.task.context)).split()
        assert not set(normalize_answer(one.gold.answers[0]).split()) <= set(context)


def test_a_run_counts_the_controls_that_were_passed_over(tmp_path: Path) -> None:
    examples = load_examples("world:hops=1,n=40")
    passed = {e.task.id: Controls(examples).of(e).num_passed_over for e in examples}
    config = PmiConfig(engine="scripted", train_mem=True, mem_steps=2)
    settings = RunSettings(data="world:hops=1,n=40", out=tmp_path, wrong_passage=True)
    outcome = run(settings, config)
    assert outcome.summary["totals"]["controls_passed_over"] == sum(passed.values()) > 0
    results = read_results(tmp_path)
    assert {id_: r.costs.get("controls_passed_over", 0) for id_, r in results.items()} == passed
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == outcome.summary
