from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmi_kernel.core.task import Paragraph
from pmi_kernel.core.trace import PassageUse
from pmi_kernel.data import load_examples
from pmi_kernel.retrieval import CORPUS, RETRIEVERS, make_retriever, make_step0_query, retrieve
from pmi_kernel.retrieval.config import RetrievalConfig

CONTEXT = (
    Paragraph("Rivers", ("The Ister is a river.", " It is long.")),
    Paragraph("Towns", ("Ostermoor is a town on the Ister.", " It has a bridge.")),
    Paragraph("Bread", ("Bread is baked.",)),
)


def test_what_is_given_keeps_its_order() -> None:
    found = retrieve(make_retriever("given"), "Ostermoor town", CONTEXT, topk=1, max_chars=1000)
    assert [p.title for p in found.passages] == ["Rivers", "Towns", "Bread"]
    assert found.passages[0].use is PassageUse.USED


@pytest.mark.parametrize("name", ["overlap", "bm25"])
def test_the_matching_paragraph_comes_first(name: str) -> None:
    found = retrieve(make_retriever(name), "Ostermoor town", CONTEXT, topk=1, max_chars=1000)
    assert found.passages[0].title == "Towns"
    assert [p.use for p in found.passages] == [PassageUse.USED, *[PassageUse.LEFT_OUT] * 2]
    assert found.text == "Towns: Ostermoor is a town on the Ister. It has a bridge."


@pytest.mark.parametrize("name", RETRIEVERS)
def test_equal_scores_keep_the_original_order(name: str) -> None:
    found = retrieve(make_retriever(name), "zebra ?!", CONTEXT, topk=3, max_chars=1000)
    assert [p.index for p in found.passages] == [0, 1, 2]
    assert {p.score for p in found.passages} == {0.0}


def test_evidence_is_cut_at_a_sentence_end_and_says_so() -> None:
    found = retrieve(make_retriever("overlap"), "river", CONTEXT, topk=2, max_chars=34)
    assert found.text == "Rivers: The Ister is a river."
    assert found.passages[0].use is PassageUse.CUT
    assert found.passages[1].use is PassageUse.LEFT_OUT
    assert found.cut_chars == len(" It is long.") + len(CONTEXT[1].text)


def test_a_first_sentence_that_is_too_long_is_cut_at_a_word() -> None:
    found = retrieve(make_retriever("overlap"), "river", CONTEXT, topk=1, max_chars=20)
    assert found.text == "Rivers: The Ister is"


def test_only_whole_sentences_count_as_sentences_of_the_evidence() -> None:
    found = retrieve(make_retriever("overlap"), "river", CONTEXT, topk=2, max_chars=70)
    assert found.text.startswith("Rivers: The Ister is a river. It is long.\nTowns: Ostermoor is a")
    assert found.sentences() == ["The Ister is a river.", "It is long."]


@given(st.integers(1, 120), st.integers(1, 3), st.sampled_from(list(RETRIEVERS)))
def test_evidence_never_exceeds_its_limit(max_chars: int, topk: int, name: str) -> None:
    found = retrieve(make_retriever(name), "Ister river", CONTEXT, topk=topk, max_chars=max_chars)
    assert len(found.text) <= max_chars
    whole = sum(len(CONTEXT[p.index].text) for p in found.passages[:topk])
    assert found.cut_chars == whole - sum(len(p.text) for p in found.passages)


@pytest.mark.parametrize(
    ("question", "query"),
    [
        ("In which town was Quill Tarvane born?", "town Quill Tarvane born"),
        ("Who is who?", "Who is who?"),
        ("What is Mary-Ann's job?", "Mary-Ann's job"),
    ],
)
def test_the_first_query_keeps_the_content_words(question: str, query: str) -> None:
    assert make_step0_query(question) == query


@pytest.mark.parametrize(("name", "share"), [("overlap", 0.15), ("bm25", 0.46)])
def test_both_gold_paragraphs_are_found_in_real_questions(
    shared_data: Path, name: str, share: float
) -> None:
    examples = load_examples(shared_data / "hotpotqa" / "hotpot_dev_distractor_sample_100.json")
    retriever, hits = make_retriever(name), 0
    for example in examples:
        query = make_step0_query(example.task.question)
        found = retrieve(retriever, query, example.task.context, topk=3, max_chars=10**6)
        gold = {fact.title for fact in example.gold.supporting_facts}
        hits += gold <= {p.title for p in found.passages[:3]}
    assert hits / len(examples) >= share


def test_an_unknown_retriever_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap, bm25, given or corpus"):
        make_retriever("dense")


def test_every_retriever_can_be_asked_for_by_name() -> None:
    names = get_args(RetrievalConfig.model_fields["retriever"].annotation)
    assert names == (*RETRIEVERS, CORPUS)
