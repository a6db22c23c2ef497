"""Finding one's way in a trace: folded, searched, led to the gold sentences, copied."""

import re
import shlex
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pmi_kernel import Episode, PmiConfig, load_examples, open_system
from pmi_kernel.cli import main
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.task import Example, Gold, Paragraph, SupportingFact, Task
from pmi_kernel.core.trace import Passage, PassageUse, Step, StepKind, Trace
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.episode import evaluate
from pmi_kernel.reports.pages.passages import read_passages
from pmi_kernel.reports.pages.render import READ_SCRIPT, static_html
from pmi_kernel.reports.pages.render import page as page_of
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.reports.recording import Recording
from widgets import EpisodeView, Setup

PARAGRAPH = Paragraph("Oslo", (" A  first\n one. ", "", "The second. ", "The last one."))


def passage(use: PassageUse, text: str, rank: int = 1) -> Passage:
    return Passage(0, "Oslo", text, 1.0, rank, use)


@pytest.mark.parametrize(
    ("sentences", "shown", "golden"),
    [
        ((2,), PARAGRAPH.text, ["The second."]),
        ((0, 3), PARAGRAPH.text, ["A first one.", "The last one."]),
        ((0, 2), "A first one. The sec", ["A first one.", "The sec"]),
        ((3,), "A first one. The second.", []),
        ((1, 9), PARAGRAPH.text, []),
    ],
)
def test_gold_sentences_are_told_apart(
    sentences: tuple[int, ...], shown: str, golden: list[str]
) -> None:
    gold = Gold(("x",), tuple(SupportingFact("Oslo", place) for place in sentences))
    task = Task("1", "Where?", (PARAGRAPH,))
    (read,) = read_passages([passage(PassageUse.CUT, shown)], task, gold, {"second"})
    texts = ["".join(piece for piece, _ in pieces) for pieces, _ in read["parts"]]
    assert "".join(texts) == shown
    assert [text for text, (_, is_gold) in zip(texts, read["parts"], strict=True) if is_gold] == (
        golden
    )
    assert f"{shown}{read['rest']}".replace(" ", "") == PARAGRAPH.text.replace(" ", "")


def test_long_and_later_passages_are_folded() -> None:
    context = (Paragraph("long", ("word " * 300,)), *(Paragraph(f"{n}", ("x",)) for n in range(19)))
    found = tuple(
        Passage(place, one.title, one.text, 1.0, place + 1, PassageUse.USED)
        for place, one in enumerate(context)
    )
    read = read_passages(found, Task("1", "Where?", context), None, set())
    assert [one["rank"] for one in read if one["is_open"]] == [2, 3, 4, 5]
    trace = Trace(
        Task("1", "Where?", context), "pmi", "f", (Step(StepKind.SEARCH, "q", 0, passages=found),)
    )
    shown = static_html(replay_nodes(trace)).split("</style>")[1]
    assert shown.count('<details data-key="p') == 20


def recorded(example: Example) -> tuple[Trace, EvalResult]:
    trace = Episode(open_system(PmiConfig(engine="scripted"), ScriptedEngine()), example).run()
    return trace, evaluate(example, trace)


def test_a_result_keeps_its_gold_sentences(sample: list[Example]) -> None:
    _, result = recorded(sample[0])
    assert result.gold == sample[0].gold


def test_the_command_and_the_cell_are_the_episode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as end:
        main(f"run --data sample --limit 2 --engine scripted --topk 2 --out {out}".split())
    assert end.value.code == 0
    recording = Recording(out)
    id_ = recording.ids[1]
    again = recording.again
    assert again is not None

    command = shlex.split(again.command(id_))
    assert command[:2] == ["pmi", "run"]
    with pytest.raises(SystemExit) as end:
        main([*command[1:-1], str(tmp_path / "again")])
    assert end.value.code == 0
    repeated = Recording(tmp_path / "again")
    assert repeated.ids == [id_]
    texts = [step.text for step in recording.trace(id_).steps]
    assert [step.text for step in repeated.trace(id_).steps] == texts

    told: dict[str, object] = {}
    exec(str(len(texts)).join(again.cell(id_)), told)
    assert isinstance(told["step"], Step)
    assert told["step"].text == texts[-1]


def test_an_id_with_colons_is_found() -> None:
    from pmi_kernel.data.derived import only

    example = load_examples("sample")[3]
    assert load_examples(only(example.task.id, "sample")) == [example]
    assert only("a:b%", "x") == "only:a%3Ab%25:x"


def test_a_live_step_shows_its_prompt(sample: list[Example]) -> None:
    view = EpisodeView(Setup("sample", system="in_context", engine="scripted"), is_probed=False)
    view.run()
    view.wait()
    (trace,) = view.traces
    assert sample[0].task.question in trace.steps[-1].prompt
    assert 'data-copied="prompt"' in view.html()
    kept, result = recorded(sample[0])
    assert 'data-copied="prompt"' in static_html(replay_nodes(kept, result))


def test_a_page_is_searched_led_and_copied(root: Path, page: Page) -> None:
    recording = Recording(root / "runs" / "example")
    id_ = recording.ids[0]
    trace = recording.trace(id_)
    gold = recording.results[id_].gold
    shown = page_of(trace.task.question, recording.nodes(id_), scripts=(READ_SCRIPT,))
    page.set_content(shown)
    form = page.get_by_role("search")
    status = form.get_by_role("status")
    left_out = page.locator("details[data-key=left-out]").first
    hidden = next(one for one in trace.steps[0].passages if one.use is PassageUse.LEFT_OUT)
    form.get_by_label("Find in the episode").fill(f"  {hidden.title.upper()} ")
    expect(status).to_have_text(re.compile(r"[1-9] found"))
    expect(left_out).not_to_have_attribute("open", "")
    page.keyboard.press("Enter")
    expect(left_out).to_have_attribute("open", "")
    expect(status).to_contain_text("1 of ")
    page.keyboard.press("Escape")
    expect(status).to_have_text("")

    form.get_by_role("button", name="Fold all", exact=True).click()
    expect(page.locator(".pmi-step details[open]")).to_have_count(0)
    expect(page.get_by_text("Gold:")).to_be_hidden()
    found = page.locator(".pmi-gold")
    form.get_by_role("button", name="Gold sentences").click()
    expect(found.first).to_be_in_viewport()
    expect(status).to_have_text(f"gold sentence 1 of {found.count()}")
    first = gold.supporting_facts[0]
    paragraph = next(one for one in trace.task.context if one.title == first.title)
    assert paragraph.sentences[first.sentence].strip() in found.all_inner_texts()

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".pmi-step").nth(1).get_by_role("button", name="cell").click()
    expect(page.locator(".pmi-step").nth(1).get_by_role("button", name="copied")).to_be_visible()
