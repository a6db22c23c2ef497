import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher

from pmi_kernel.core.trace import Action, ActionKind, ParseOutcome
from pmi_kernel.prompting.actions import action_regex, parse_action


@pytest.mark.parametrize(
    ("text", "kind", "argument"),
    [
        ("<search>a b</search>", ActionKind.SEARCH, "a b"),
        ("I think <answer> Paris </answer> and <search>x</search>", ActionKind.ANSWER, "Paris"),
        ("<SEARCH>a</Search>", ActionKind.SEARCH, "a"),
        ("< answer >two\nlines</ answer >", ActionKind.ANSWER, "two lines"),
        ("<answer>1 < 2</answer>", ActionKind.ANSWER, "1 < 2"),
    ],
)
def test_the_first_action_counts(text: str, kind: ActionKind, argument: str) -> None:
    assert parse_action(text) == Action(kind, argument, ParseOutcome.OK)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("", ParseOutcome.NO_ACTION),
        ("Paris", ParseOutcome.NO_ACTION),
        ("</answer>", ParseOutcome.NO_ACTION),
        ("<answer>Paris", ParseOutcome.UNCLOSED),
        ("<search>a<answer>b</answer></search>", ParseOutcome.UNCLOSED),
        ("<search>a</answer>", ParseOutcome.UNCLOSED),
        ("<answer>  </answer>", ParseOutcome.EMPTY_ARGUMENT),
    ],
)
def test_a_broken_action_says_how_it_is_broken(text: str, outcome: ParseOutcome) -> None:
    assert parse_action(text) == Action(None, "", outcome)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    action = parse_action(text)
    assert (action.kind is None) == (action.outcome is not ParseOutcome.OK)


@given(st.from_regex(action_regex(12), fullmatch=True))
def test_what_guided_decoding_allows_is_a_legal_action(text: str) -> None:
    action = parse_action(text)
    assert action.outcome is ParseOutcome.OK
    assert len(action.argument) <= 12


def test_the_regex_is_one_that_the_decoder_takes() -> None:
    assert LLMatcher.validate_grammar(LLMatcher.grammar_from_regex(action_regex(100))) == ""
