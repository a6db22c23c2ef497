from hypothesis import given
from hypothesis import strategies as st

from pmi_kernel import Episode, InContextConfig
from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.task import Example
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.reports.pages.reading import curve, highlight, matrix, sources, token_bars
from pmi_kernel.systems import open_system


@given(st.text(), st.sets(st.text()))
def test_highlighting_changes_no_text(text: str, wanted: set[str]) -> None:
    assert "".join(piece for piece, _ in highlight(text, wanted)) == text


def test_whole_words_of_the_query_are_marked() -> None:
    pieces = highlight("The River, a riverbed", {"river"})
    assert pieces == [("The ", False), ("River", True), (", a riverbed", False)]


def test_each_snippet_sentence_is_linked_to_its_source(sample: list[Example]) -> None:
    example = sample[0]
    search = Episode(open_system(InContextConfig(), ScriptedEngine()), example).step()
    assert search is not None
    first = search.passages[1]
    sentence = example.task.context[first.index].sentences[0].strip()
    linked = sources(f"{sentence} Penguins dislike volcanoes entirely.", search, example.task)
    assert [source.rank for source in linked] == [first.rank, None]
    assert linked[0].title == first.title
    assert linked[0].share == 1.0


@given(st.text(max_size=200))
def test_any_snippet_can_be_linked(text: str) -> None:
    from pmi_kernel.core.task import Task
    from pmi_kernel.core.trace import Step, StepKind

    linked = sources(text, Step(StepKind.SEARCH, "q"), Task("i", "q", ()))
    assert all(source.rank is None for source in linked)


def test_bars_compare_the_same_tokens() -> None:
    bars = token_bars(GoldScore(("a", "b"), (-4.0, -1.0)), GoldScore(("a", "b"), (-2.0, -1.0)))
    assert [bar.rise_nats for bar in bars] == [2.0, 0.0]
    assert bars[0].before_percent == 100
    assert bars[0].after_percent == 50
    assert token_bars(GoldScore((), ()), GoldScore((), ())) == []


def test_a_curve_says_what_it_shows() -> None:
    shown = curve([4.0, 2.0, 3.0])
    assert shown is not None
    assert "4.00 → 3.00" in shown.caption
    assert "falling in 1 of 2" in shown.caption
    assert curve([]) is None
    assert curve([0.0]) is not None


def test_norms_are_laid_out_by_module_and_layer() -> None:
    rows = matrix({"model.layers.0.mlp.up_proj": 1.0, "model.layers.11.mlp.up_proj": 2.0})
    assert rows == {"up_proj": [(0, 1.0), (11, 2.0)]}
