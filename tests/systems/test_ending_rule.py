"""What an output without a whole answer counts as is one setting, the same for all systems."""

import pytest

from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, ParseOutcome
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.episodes.episode import Episode
from pmi_kernel.systems import config_class, open_system

SYSTEMS = ("pmi", "in_context", "closed_book")


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("It is Paris", ParseOutcome.NO_ACTION),
        ("<answer>Paris", ParseOutcome.UNCLOSED),
        ("<answer> </answer>", ParseOutcome.EMPTY_ARGUMENT),
    ],
)
def test_what_cannot_be_parsed_is_unknown(
    sample: list[Example], name: str, said: str, outcome: ParseOutcome
) -> None:
    system = open_system(config_class(name)(), ScriptedEngine([said]))
    last = Episode(system, sample[0]).run().steps[-1]
    assert (last.text, last.end_reason) == ("unknown", EndReason.PARSE_FAILURE)
    assert (last.raw, last.parse) == (said, outcome)


@pytest.mark.parametrize("name", SYSTEMS)
def test_or_it_counts_as_its_text(sample: list[Example], name: str) -> None:
    config = config_class(name)(unparsed="text")
    last = Episode(open_system(config, ScriptedEngine(["It is  Paris"])), sample[0]).run().steps[-1]
    assert (last.text, last.end_reason) == ("It is Paris", EndReason.ANSWERED)
    assert last.parse is ParseOutcome.NO_ACTION


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_whole_answer_is_the_answer_under_either_rule(sample: list[Example], name: str) -> None:
    for unparsed in ("unknown", "text"):
        engine = ScriptedEngine(["so: <answer>Paris</answer>."])
        system = open_system(config_class(name)(unparsed=unparsed), engine)  # type: ignore[call-arg]
        last = Episode(system, sample[0]).run().steps[-1]
        assert (last.text, last.end_reason) == ("Paris", EndReason.ANSWERED)


def test_a_baseline_cannot_search(sample: list[Example]) -> None:
    system = open_system(config_class("closed_book")(), ScriptedEngine(["<search>x</search>"]))
    last = Episode(system, sample[0]).run().steps[-1]
    assert (last.text, last.parse) == ("unknown", ParseOutcome.NO_ACTION)
