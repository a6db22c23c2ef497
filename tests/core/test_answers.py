import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmi_kernel.core.answers import FREE, AnswerForm, AnswerKind

YES_NO, MAYBE = AnswerForm(AnswerKind.YES_NO), AnswerForm(AnswerKind.YES_NO_MAYBE)
CHOICE = AnswerForm(AnswerKind.CHOICE, ("Ostermoor", "A  lake\nof salt", "Fenlow."))


@pytest.mark.parametrize(
    ("form", "text", "answer"),
    [
        (FREE, "Paris", "Paris"),
        (FREE, "  ", None),
        (YES_NO, "Yes", "yes"),
        (YES_NO, "“No”, it is not", "no"),
        (YES_NO, "maybe", None),
        (YES_NO, "Nobody knows", None),
        (YES_NO, "It is yes", None),
        (MAYBE, "MAYBE.", "maybe"),
        (CHOICE, "B", "B. A lake of salt"),
        (CHOICE, "b.", "B. A lake of salt"),
        (CHOICE, "(c)", "C. Fenlow."),
        (CHOICE, "Option A: Ostermoor", "A. Ostermoor"),
        (CHOICE, "C. Ostermoor", "C. Fenlow."),
        (CHOICE, "ostermoor", "A. Ostermoor"),
        (CHOICE, "fenlow", "C. Fenlow."),
        (CHOICE, "A lake", None),
        (CHOICE, "D", None),
        (CHOICE, "Be it so", None),
        (CHOICE, "", None),
    ],
)
def test_an_answer_is_read_by_what_the_question_admits(
    form: AnswerForm, text: str, answer: str | None
) -> None:
    assert form.read(text) == answer


@pytest.mark.parametrize("form", [YES_NO, MAYBE, CHOICE])
def test_what_is_given_is_read_as_it_is(form: AnswerForm) -> None:
    for answer in form.allowed:
        assert form.read(answer) == answer
        assert "\n" not in answer
    for option in form.options:
        assert form.bare(form.given(option)) == option


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=26), st.text())
def test_any_text_is_read_as_an_allowed_answer_or_none(options: list[str], text: str) -> None:
    form = AnswerForm(AnswerKind.CHOICE, tuple(options))
    assert len(form.allowed) == len(options)
    assert form.read(text) in (None, *form.allowed)
    assert [form.read(answer) for answer in form.allowed] == list(form.allowed)
