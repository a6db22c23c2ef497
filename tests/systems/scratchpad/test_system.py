"""The scratchpad system on a script: documents, evidence, answer, and what can be changed."""

import re

import pytest

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.records import decode, encode
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, ParseOutcome, Step, StepKind, Trace
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.episode import Episode, evaluate
from pmi_kernel.episodes.whatif import TapedEpisode
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.reports.copying import copying
from pmi_kernel.reports.pages.render import static_html
from pmi_kernel.reports.pages.text import render_trace
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.systems import open_system
from pmi_kernel.systems.scratchpad.config import ScratchpadConfig
from pmi_kernel.systems.scratchpad.system import DIRECT, SCRATCHPAD, ScratchpadSystem

FIRST = re.compile(r"^Document \[1\].*$", re.MULTILINE)


def copies_the_first(prompt: Prompt, adapter: Adapter | None) -> str:
    """Copies the first document, or answers at once; never reads the question."""
    text = prompt[-1].content
    if text.endswith("Evidence:"):
        found = FIRST.search(text)
        assert found
        return f"\n{found[0]}\nIt is so.\n\nQuestion: which?\nAnswer: {found[0].split()[-1]}"
    return " at once\nand more"


def system(script: object = copies_the_first, **settings: object) -> ScratchpadSystem:
    config = ScratchpadConfig(engine="scripted", **settings)  # type: ignore[arg-type]
    opened = open_system(config, ScriptedEngine(script))  # type: ignore[arg-type]
    assert isinstance(opened, ScratchpadSystem)
    return opened


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return load_examples("placed:4@0:world:split=dev,n=3,paragraphs=4")


def run(system: ScratchpadSystem, example: Example) -> Trace:
    with Episode(system, example) as episode:
        return episode.run()


def step_of(trace: Trace, kind: str) -> Step:
    return next(step for step in trace.steps if step.kind == kind)


def test_documents_are_read_evidence_is_written_and_the_answer_follows(
    examples: list[Example],
) -> None:
    trace = run(system(direct=True), examples[0])
    assert [step.kind for step in trace.steps] == [
        StepKind.SEARCH,
        DIRECT,
        SCRATCHPAD,
        StepKind.ANSWER,
    ]
    first = examples[0].task.context[0]
    assert step_of(trace, DIRECT).text == "at once"
    found = copying(step_of(trace, SCRATCHPAD), examples[0].gold)
    assert [one.document for one in found.sentences] == [1] * len(first.sentences) + [0]
    assert (found.recall, found.foreign) == (1.0, 1 / (len(first.sentences) + 1))
    assert trace.prediction == first.text.split()[-1]
    assert trace.steps[-1].parse is ParseOutcome.OK
    assert decode(Trace, encode(trace)) == trace
    assert evaluate(examples[0], trace).gold_position == 0


@pytest.mark.parametrize("method", ["zero_shot", "sft"])
def test_other_methods_answer_at_once(method: str, examples: list[Example]) -> None:
    trace = run(system(method=method, checkpoint="none"), examples[0])
    assert [step.kind for step in trace.steps] == [StepKind.SEARCH, StepKind.ANSWER]
    assert trace.prediction == "at once"


def test_an_answer_mark_that_is_never_written_is_an_outcome(examples: list[Example]) -> None:
    for unparsed, answer, end in (
        ("unknown", "unknown", EndReason.PARSE_FAILURE),
        ("text", "on and on", EndReason.ANSWERED),
    ):
        trace = run(system(["on and on"], unparsed=unparsed), examples[0])
        last = trace.steps[-1]
        assert (last.text, last.end_reason, last.parse) == (answer, end, ParseOutcome.NO_ACTION)


def test_all_that_was_written_can_be_scored(examples: list[Example]) -> None:
    whole = run(system(last_answer_only=False), examples[0]).prediction
    assert whole.startswith("Document [1]")
    assert whole.endswith(run(system(), examples[0]).prediction)


def test_documents_are_reordered_dropped_and_the_evidence_edited(examples: list[Example]) -> None:
    episode = TapedEpisode(system(direct=True), examples[0])
    while episode.step():
        pass
    moved, edited = episode.fork(0, order="3 1"), episode.fork(2, evidence="Ada is red.")
    for branch in (moved, edited):
        while branch.step():
            pass
    third = examples[0].task.context[2]
    titles = step_of(moved.trace, SCRATCHPAD).artifacts["titles"]
    assert titles == [third.title, examples[0].task.context[0].title]
    assert moved.trace.prediction == third.text.split()[-1]
    assert moved.change == "documents 3 1"
    assert step_of(edited.trace, SCRATCHPAD).text == "Ada is red."
    assert edited.trace.prediction == "at once"
    for wrong in ("a b", " "):
        with pytest.raises(ValueError, match="document"):
            episode.fork(0, order=wrong)
    with pytest.raises(ConfigError, match="order"):
        episode.fork(0, order="0")


def test_the_page_says_where_each_sentence_stands(examples: list[Example]) -> None:
    trace = run(system(), examples[0])
    html = static_html(replay_nodes(trace, evaluate(examples[0], trace)))
    assert "document 1" in html
    assert "in no document" in html
    assert "Gold documents copied: 100 %" in html
    assert "[in no document] It is so." in render_trace(trace)


def test_a_checkpoint_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        open_system(ScratchpadConfig(checkpoint="/nowhere", model="smollm2-135m"))
