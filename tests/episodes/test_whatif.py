from dataclasses import asdict, replace

import pytest

from pmi_kernel import PmiConfig, load_examples
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, Step, StepKind, Trace
from pmi_kernel.engines.base import Adapter
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.whatif import TapedEpisode
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.systems import open_system

OTHER = load_examples("sample")[1].task
"""The question that gives the wrong passage."""


def two_searches(prompt: Prompt, adapter: Adapter | None) -> str:
    """Copies notes; searches once more, then answers with its last query."""
    if "Facts from the passages" in prompt[-1].content:
        if OTHER.question in prompt[-1].content:
            return "Another question's snippet"
        return f"note under {'no memory' if adapter is None else 'a memory'}"
    start = max((i for i, m in enumerate(prompt) if m.content.startswith("Question: ")), default=0)
    queries = [m.content for m in prompt[start:] if m.content.startswith("<search>")]
    return "<search>second thing</search>" if len(queries) < 2 else "<answer>found</answer>"


CONFIG = PmiConfig(train_mem=True, max_steps=4)


def run(episode: TapedEpisode) -> TapedEpisode:
    while episode.step() is not None:
        pass
    return episode


def timeless(step: Step) -> dict[str, object]:
    measures = {k: v for k, v in step.measures.items() if not k.endswith("_s")}
    return asdict(replace(step, measures=measures, state=None))


def steps(trace: Trace) -> list[dict[str, object]]:
    return [timeless(step) for step in trace.steps]


@pytest.fixture
def original(sample: list[Example]) -> TapedEpisode:
    return run(
        TapedEpisode(open_system(CONFIG, ScriptedEngine(two_searches)), sample[0], is_probed=True)
    )


def kinds(episode: TapedEpisode) -> list[StepKind]:
    return [step.kind for step in episode.trace.steps]


def test_a_branch_without_a_change_is_the_original(original: TapedEpisode) -> None:
    for at in range(len(original.trace.steps)):
        branch = run(original.fork(at))
        assert steps(branch.trace) == steps(original.trace)
        assert len(branch.trace.probes) == len(original.trace.probes) == 2


def test_the_repeated_steps_ask_the_model_nothing(sample: list[Example]) -> None:
    asked: list[Prompt] = []

    def counting(prompt: Prompt, adapter: Adapter | None) -> str:
        asked.append(prompt)
        return two_searches(prompt, adapter)

    original = run(TapedEpisode(open_system(CONFIG, ScriptedEngine(counting)), sample[0]))
    before = len(asked)
    original.fork(len(original.trace.steps) - 1)
    assert len(asked) == before


def test_an_edited_first_query_searches_for_it_and_goes_on(original: TapedEpisode) -> None:
    kept = steps(original.trace)
    branch = run(original.fork(0, query="lighthouse"))
    assert branch.trace.steps[0].text == "lighthouse"
    assert branch.is_done
    assert steps(original.trace) == kept


@pytest.mark.parametrize(
    "change",
    [
        {"mem_lr": float("inf")},
        {"mem_lr": float("nan")},
        {"mem_steps": 0},
        {"mem_steps": 10**12},
        {"query": "\ud800"},
    ],
)
def test_a_change_to_what_a_setting_cannot_be_is_refused(
    original: TapedEpisode, change: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match=r"mem_lr|mem_steps|first_query"):
        original.fork(0, **change)


def test_an_edited_second_query_keeps_what_came_before(original: TapedEpisode) -> None:
    at = kinds(original).index(StepKind.SEARCH, 1)
    branch = run(original.fork(at, query="another thing"))
    assert steps(branch.trace)[:at] == steps(original.trace)[:at]
    assert branch.trace.steps[at].text == "another thing"


def test_an_edited_snippet_is_what_is_trained_on(original: TapedEpisode) -> None:
    branch = run(original.fork(1, snippet="My own words"))
    assert branch.trace.steps[1].text == "My own words"
    assert branch.trace.steps[2].kind == StepKind.INJECT
    assert branch.trace.steps[2].text == "My own words"


def test_the_wrong_passage_is_injected_once(original: TapedEpisode) -> None:
    branch = run(original.fork(1, wrong_passage=OTHER))
    injected = [step.text for step in branch.trace.steps if step.kind == StepKind.INJECT]
    assert injected[0] == "Another question's snippet"
    assert injected[1] == original.trace.steps[5].text
    assert branch.trace.steps[1].text == original.trace.steps[1].text


def test_without_injection_nothing_is_trained(original: TapedEpisode) -> None:
    branch = run(original.fork(1, no_injection=True))
    measures = branch.trace.steps[2].measures
    assert (measures["train_steps"], measures["attached_bytes"]) == (0, 0)


def test_steps_and_rate_change_from_the_fork_on(original: TapedEpisode) -> None:
    branch = run(original.fork(2, mem_steps=3))
    assert branch.trace.steps[2].measures["train_steps"] == 3
    branch = run(original.fork(4, mem_steps=3))
    assert branch.trace.steps[2].measures["train_steps"] == 20
    assert branch.trace.steps[5].measures["train_steps"] == 3


def test_a_branch_of_a_branch(original: TapedEpisode) -> None:
    first = run(original.fork(1, snippet="My own words"))
    second = run(first.fork(2, mem_steps=5))
    assert second.trace.steps[2].text == "My own words"
    assert second.trace.steps[2].measures["train_steps"] == 5


@pytest.mark.parametrize(
    ("at", "change"),
    [
        (1, {"query": "x"}),
        (0, {"snippet": "x"}),
        (99, {}),
        (-1, {}),
        (0, {"query": "  "}),
    ],
)
def test_a_change_that_does_not_fit_is_refused(
    original: TapedEpisode, at: int, change: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"query|snippet|no step"):
        original.fork(at, **change)


def test_every_memory_is_taken_out(sample: list[Example]) -> None:
    engine = ScriptedEngine(two_searches)
    original = TapedEpisode(open_system(CONFIG, engine), sample[0])
    for _ in range(3):
        original.step()
    branch = original.fork(2, mem_steps=2)
    branch.step()
    assert engine.num_attached == 2
    branch.close()
    original.close()
    assert engine.num_attached == 0


@pytest.mark.parametrize("num_steps", [1, 2, 3, 5])
def test_a_closed_episode_is_gone_on_with(
    original: TapedEpisode, sample: list[Example], num_steps: int
) -> None:
    engine = ScriptedEngine(two_searches, is_exclusive=True)
    episode = TapedEpisode(open_system(CONFIG, engine), sample[0], is_probed=True)
    for _ in range(num_steps):
        episode.step()
    episode.close()
    assert engine.num_attached == 0
    episode.reopen()
    assert steps(run(episode).trace) == steps(original.trace)
    assert len(episode.trace.probes) == 2


def test_a_reopened_branch_does_not_inject_the_wrong_passage_again(original: TapedEpisode) -> None:
    branch = original.fork(1, wrong_passage=OTHER)
    branch.step()
    branch.step()
    branch.close()
    branch.reopen()
    run(branch)
    injected = [step.text for step in branch.trace.steps if step.kind == StepKind.INJECT]
    assert injected == ["Another question's snippet", original.trace.steps[5].text]


def test_an_engine_error_reaches_the_caller(sample: list[Example]) -> None:
    episode = TapedEpisode(open_system(CONFIG, ScriptedEngine([])), sample[0])
    episode.step()
    with pytest.raises(EngineError, match="no output left"):
        episode.step()


def test_a_branch_says_what_it_does_otherwise(original: TapedEpisode) -> None:
    assert original.fork(0, query="q", mem_lr=1e-3).change == "query “q”, mem_lr 0.001"
    assert original.fork(1, no_injection=True).change == "no injection"
    assert original.fork(0).change == "unchanged"


def test_the_original_ends_as_it_did(original: TapedEpisode) -> None:
    assert original.trace.end_reason is EndReason.ANSWERED


def test_a_branch_has_rephrasings_and_proof_of_restore_of_its_own(sample: list[Example]) -> None:
    def reworded(prompt: Prompt, adapter: Adapter | None) -> str:
        is_asked_to = "in other words" in prompt[-1].content
        return "Where was she born?\n" if is_asked_to else two_searches(prompt, adapter)

    original = run(
        TapedEpisode(open_system(CONFIG, ScriptedEngine(reworded)), sample[0], is_probed=True)
    )
    for at in (1, 4, len(original.trace.steps) - 1):
        branch = run(original.fork(at))
        assert branch.trace.is_restored is True
        for probe in branch.trace.probes:
            assert [one.question for one in probe.after.rephrased] == ["Where was she born?"]
