from dataclasses import replace
from pathlib import Path

import pytest

from pmi_kernel import runs
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, ParseOutcome, StepKind, Trace
from pmi_kernel.engines.base import Adapter, Lessons, Training
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.reports.pages.render import static_html
from pmi_kernel.reports.pages.text import render_trace
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.reports.summary import render_summary
from pmi_kernel.runs import RunSettings
from pmi_kernel.systems import open_system
from pmi_kernel.systems.pmi.config import PmiConfig
from pmi_kernel.systems.pmi.prompts import MEMORISED

S, C, INJ, ANS = StepKind.SEARCH, StepKind.COMPRESS, StepKind.INJECT, StepKind.ANSWER


def run(example: Example, outputs: list[str], **settings: object) -> tuple[Trace, ScriptedEngine]:
    engine = ScriptedEngine(outputs)
    trace = Episode(open_system(PmiConfig(**settings), engine), example).run()  # type: ignore[arg-type]
    return trace, engine


def test_the_first_search_is_forced(sample: list[Example]) -> None:
    trace, _ = run(sample[0], ["<answer>x</answer>"])
    assert [step.kind for step in trace.steps] == [S, ANS]
    assert trace.steps[0].raw == ""
    assert trace.steps[0].text == "town author Gilded Window Brindlegate born"
    assert (trace.prediction, trace.end_reason) == ("x", EndReason.ANSWERED)


def test_only_the_first_action_counts(sample: list[Example]) -> None:
    output = "well <search>a</search><answer>x</answer>"
    trace, _ = run(sample[0], [output, "<answer>y</answer>"])
    assert [step.text for step in trace.steps][1:] == ["a", "y"]


def test_a_parse_failure_forces_unknown(sample: list[Example]) -> None:
    trace, _ = run(sample[0], ["I do not know"])
    assert (trace.prediction, trace.end_reason) == ("unknown", EndReason.PARSE_FAILURE)
    assert trace.steps[-1].parse is ParseOutcome.NO_ACTION
    assert trace.steps[-1].raw == "I do not know"


def test_max_steps_forces_unknown(sample: list[Example]) -> None:
    trace, _ = run(sample[0], ["<search>a</search>", "<search>b</search>"], max_steps=3)
    assert [step.kind for step in trace.steps] == [S, S, S, ANS]
    assert (trace.prediction, trace.end_reason) == ("unknown", EndReason.MAX_STEPS)


def test_each_search_is_compressed_trained_and_injected(sample: list[Example]) -> None:
    outputs = ["one fact", "<search>a</search>", "two facts", "<answer>x</answer>"]
    trace, engine = run(sample[0], outputs, train_mem=True, mem_steps=3)
    assert [step.kind for step in trace.steps] == [S, C, INJ, S, C, INJ, ANS]
    assert engine.num_attached == 0
    inject = trace.steps[2]
    assert inject.artifacts["losses_nats"] == [4.0, 2.0, 1.0]
    assert {"train_s", "attach_s", "train_tokens", "attached_bytes"} <= set(inject.measures)
    assert "detach_s" in trace.steps[-1].measures


def test_memories_accumulate(sample: list[Example]) -> None:
    outputs = ["one fact", "<search>a</search>", "two facts", "<answer>x</answer>"]
    trace, _ = run(sample[0], outputs, train_mem=True, mem_rank=4)
    assert [step.artifacts["rank"] for step in trace.steps if step.kind == INJ] == [4, 8]


def test_an_empty_snippet_is_counted_and_not_injected(sample: list[Example]) -> None:
    trace, _ = run(sample[0], ["  ", "<answer>x</answer>"], train_mem=True)
    assert [step.kind for step in trace.steps] == [S, C, ANS]
    assert trace.steps[1].measures["empty_snippets"] == 1


def test_a_snippet_cut_by_its_limit_is_counted(sample: list[Example]) -> None:
    outputs = ["one two three four", "<answer>x</answer>"]
    trace, _ = run(sample[0], outputs, train_mem=True, snippet_tokens=3)
    assert trace.steps[1].measures["truncated_snippets"] == 1


@pytest.mark.parametrize(
    ("evidence", "in_prompt"), [("both", True), ("prompt", True), ("weights", False)]
)
def test_evidence_says_what_the_prompt_holds(
    sample: list[Example], evidence: str, in_prompt: bool
) -> None:
    prompts: list[tuple[Prompt, Adapter | None]] = []

    def script(prompt: Prompt, adapter: Adapter | None) -> str:
        prompts.append((prompt, adapter))
        return "some fact" if len(prompts) == 1 else "<answer>x</answer>"

    config = PmiConfig(train_mem=True, evidence=evidence)  # type: ignore[arg-type]
    Episode(open_system(config, ScriptedEngine(script)), sample[0]).run()
    prompt, adapter = prompts[-1]
    title = sample[0].gold.supporting_facts[0].title
    assert (f"{title}:" in prompt[-1].content) == in_prompt
    assert (MEMORISED in prompt[-1].content) == (not in_prompt)
    assert adapter is not None


def test_evidence_in_weights_alone_needs_training() -> None:
    with pytest.raises(ConfigError, match="needs train_mem"):
        PmiConfig(evidence="weights")


def test_an_engine_error_takes_the_memory_out(sample: list[Example]) -> None:
    engine = ScriptedEngine(["one fact"])
    episode = Episode(open_system(PmiConfig(train_mem=True), engine), sample[0])
    with pytest.raises(EngineError, match="no output left"):
        episode.run()
    assert engine.num_attached == 0


def test_closing_early_takes_the_memory_out(sample: list[Example]) -> None:
    engine = ScriptedEngine(["one fact"])
    with Episode(open_system(PmiConfig(train_mem=True), engine), sample[0]) as episode:
        for _ in range(3):
            episode.step()
        assert engine.num_attached == 1
    assert engine.num_attached == 0
    with pytest.raises(ValueError, match="closed before its end"):
        episode.step()


PAIRS = "Q: Who wrote it? A: Flora\nQ: Where was she born? A: Otterfell\nQ: When was sh"


def test_pairs_that_the_model_wrote_are_trained_on_and_shown(sample: list[Example]) -> None:
    outputs = ["one fact", PAIRS, "<answer>x</answer>"]
    trace, _ = run(sample[0], outputs, train_mem=True, mem_recipe="qa")
    assert [step.kind for step in trace.steps] == [S, C, INJ, ANS]
    shown = trace.steps[2]
    assert shown.text.splitlines() == [
        "Question: Who wrote it? <answer>Flora</answer>",
        "Question: Where was she born? <answer>Otterfell</answer>",
    ]
    assert shown.measures["lines"] == 2
    assert shown.measures["write_new_tokens"] > 0


def test_a_mixed_recipe_holds_the_text_the_pairs_and_the_paraphrases(
    sample: list[Example],
) -> None:
    outputs = ["one fact", PAIRS, "- Flora wrote it.\n- Flora wrote it.\n", "<answer>x</answer>"]
    trace, _ = run(sample[0], outputs, train_mem=True, mem_recipe="mixed")
    lines = trace.steps[2].text.splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("one fact", "Flora wrote it.", 4)


def test_well_known_questions_can_be_learned_along(sample: list[Example]) -> None:
    outputs = ["Ada Thorn wrote The Silent Bell.", "<answer>x</answer>"]
    settings = {"train_mem": True, "mem_recipe": "cloze", "mem_rehearse": 2}
    trace, _ = run(sample[0], outputs, **settings)
    lines = trace.steps[2].text.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "Question: How many months are there in a year? <answer>12</answer>"
    assert trace.steps[2].measures["lines"] == 1


def test_nothing_usable_written_leaves_the_text_itself(sample: list[Example]) -> None:
    outputs = ["one fact", "I would rather not", "<answer>x</answer>"]
    trace, _ = run(sample[0], outputs, train_mem=True, mem_recipe="qa")
    assert trace.steps[2].text == "one fact"
    assert trace.steps[2].measures["lines"] == 0


def test_a_memory_can_be_made_of_all_the_evidence(sample: list[Example]) -> None:
    trace, _ = run(sample[0], ["<answer>x</answer>"], train_mem=True, mem_source="evidence")
    search, inject, _ = trace.steps
    assert all(passage.text in inject.text for passage in search.passages if passage.text)


def test_a_memory_that_is_gone_on_from_keeps_its_rank(sample: list[Example]) -> None:
    outputs = ["one fact", "<search>a</search>", "two facts", "<answer>x</answer>"]
    settings = {"train_mem": True, "mem_rank": 4, "mem_accumulate": "continue"}
    trace, _ = run(sample[0], outputs, **settings)
    assert [step.artifacts["rank"] for step in trace.steps if step.kind == INJ] == [4, 4]
    with pytest.raises(ConfigError, match="strategy hot"):
        PmiConfig(**settings, strategy="inplace")  # type: ignore[arg-type]


class Diverging(ScriptedEngine):
    """Every memory's loss rises."""

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        trained = super().train(lessons, lora, adapter=adapter)
        return replace(trained, losses_nats=tuple(reversed(trained.losses_nats)))


def test_a_memory_that_diverged_is_counted_and_said(sample: list[Example], tmp_path: Path) -> None:
    config = PmiConfig(train_mem=True, mem_steps=3, max_steps=2)
    settings = RunSettings(out=tmp_path, limit=3)
    summary = runs.run(settings, config, system=open_system(config, Diverging())).summary
    assert summary["totals"]["diverged"] == summary["num_injections"] == 3
    assert (
        "3 of 3 memories diverged: their loss rose (a lower learning rate helps)"
        in render_summary(summary, tmp_path)
    )
    trace = Episode(open_system(config, Diverging()), sample[0]).run()
    assert "it diverged: its loss rose" in render_trace(trace)
    assert "diverged: its loss rose" in static_html(replay_nodes(trace))
    calm, _ = run(sample[0], ["one fact", "<answer>x</answer>"], train_mem=True)
    assert calm.steps[2].measures["diverged"] == 0
    assert "diverged" not in render_trace(calm)
    assert "diverged" not in static_html(replay_nodes(calm)).split("</style>")[1]
