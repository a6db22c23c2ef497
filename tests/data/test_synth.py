from pathlib import Path

import pytest

from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.data import write_examples
from pmi_kernel.data.synth import synthesize

EXAMPLES = synthesize(400, 11)


def test_the_committed_sample_is_what_the_generator_makes(root: Path, tmp_path: Path) -> None:
    write_examples(synthesize(60, 7), tmp_path / "sample.json")
    committed = root / "data" / "sample" / "fictional_60.json"
    assert (tmp_path / "sample.json").read_bytes() == committed.read_bytes()


def test_fewer_examples_are_the_first_of_more() -> None:
    assert synthesize(17, 11) == EXAMPLES[:17]


def test_seeds_differ() -> None:
    assert synthesize(3, 1) != synthesize(3, 2)


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        synthesize(-1, 0)


def test_every_question_has_ten_paragraphs_and_two_supporting_facts() -> None:
    for example in EXAMPLES:
        titles = [paragraph.title for paragraph in example.task.context]
        assert len(titles) == len(set(titles)) == 10
        assert len(example.gold.supporting_facts) == 2
        assert {fact.title for fact in example.gold.supporting_facts} <= set(titles)


def test_a_bridge_answer_stands_in_its_second_supporting_sentence() -> None:
    for example in EXAMPLES:
        if example.type == "bridge":
            fact = example.gold.supporting_facts[1]
            paragraph = next(p for p in example.task.context if p.title == fact.title)
            sentence = normalize_answer(paragraph.sentences[fact.sentence])
            assert f" {normalize_answer(example.gold.answers[0])} " in f" {sentence} "


def test_the_first_supporting_sentence_leads_to_the_second_paragraph() -> None:
    for example in EXAMPLES:
        if example.type == "bridge":
            first, second = example.gold.supporting_facts
            paragraph = next(p for p in example.task.context if p.title == first.title)
            assert second.title in paragraph.sentences[first.sentence]


def test_yes_and_no_are_balanced() -> None:
    answers = [example.gold.answers[0] for example in EXAMPLES]
    assert answers.count("yes") == answers.count("no") == 20


def test_the_mix_is_like_hotpotqa() -> None:
    assert sum(example.type == "bridge" for example in EXAMPLES) == 320
