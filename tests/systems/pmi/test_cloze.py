from hypothesis import given
from hypothesis import strategies as st

from pmi_kernel.engines.base import Adapter, Score
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.prompting.messages import Prompt
from pmi_kernel.systems.pmi.recipes.cloze import gaps

TEXT = (
    "Ada Thorn was a shipwright by trade. Ada Thorn was born in the town of Ottermere in 1851. "
    "The Silent Bell is a novel by Ada Thorn."
)


class Surprised(ScriptedEngine):
    """Finds the longer words more surprising, and `who` after `by` less than anything."""

    def score(self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None) -> Score:
        words = tuple(continuation.split())
        nats = [-float(len(word)) for word in words]
        if "by who" in continuation:
            nats[-1] = 0.0
        elif "who" in continuation.lower():
            nats[0] -= 9
        return Score(tuple(range(len(words))), words, tuple(nats))


def test_each_sentence_is_asked_for_what_surprises_most_and_never_for_its_topic() -> None:
    found = gaps(Surprised(), TEXT, most=3)
    assert [(gap.question, gap.answer) for gap in found] == [
        ("Ada Thorn was a what by trade?", "shipwright"),
        ("Ada Thorn was born in the town of what in 1851?", "Ottermere"),
        ("What is a novel by Ada Thorn?", "The Silent Bell"),
    ]
    assert found[1].surprisal_nats == len("Ottermere")


def test_a_title_before_its_text_is_the_topic_too() -> None:
    text = "Ada Thorn: The profession of Ada Thorn was shipwright."
    (gap,) = gaps(Surprised(), text, most=4)
    assert gap.answer in ("profession", "shipwright")


def test_a_person_is_asked_for_by_who() -> None:
    text = "The Silent Bell won a prize. The Silent Bell was written by Ada Thorn."
    assert gaps(Surprised(), text, most=2)[1].question == "The Silent Bell was written by who?"


def test_further_gaps_are_the_next_best_and_the_order_is_the_texts() -> None:
    answers = [gap.answer for gap in gaps(Surprised(), TEXT, most=5)]
    assert answers == ["shipwright", "Ottermere", "1851", "The Silent Bell"]


@given(st.text(max_size=200), st.integers(1, 4))
def test_any_text_gives_gaps_of_its_own_or_none(text: str, most: int) -> None:
    engine = ScriptedEngine()
    found = gaps(engine, text, most=most) if text.strip() else ()
    assert len(found) <= most
    for gap in found:
        assert gap.answer in text
        assert gap.question.endswith("?")
