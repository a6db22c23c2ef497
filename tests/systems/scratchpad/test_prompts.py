"""How a sample reads, and how an output is read."""

import pytest

from pmi_kernel.core.answers import AnswerForm, AnswerKind
from pmi_kernel.core.task import Paragraph
from pmi_kernel.systems.scratchpad.prompts import (
    EVIDENCE,
    SYSTEM,
    Copied,
    Written,
    completed,
    copied,
    evidence_text,
    question_text,
    read_output,
)

DOCUMENTS = (
    Paragraph("Ada", ("Ada lives in Tonborg.", " She plays the oboe.")),
    Paragraph("", ("Cole lives in Kray.",)),
    Paragraph("Bo", ("Bo [old] lives in Tonborg.",)),
)
QUESTION = "Where does Bo live?"


def test_a_sample_is_question_documents_question_evidence_question_answer() -> None:
    text = question_text(QUESTION, DOCUMENTS)
    whole = f"{text}\n{EVIDENCE}{completed(evidence_text(DOCUMENTS, [2]), QUESTION)} Tonborg"
    assert whole == (
        f"{SYSTEM}\n\nQuestion: {QUESTION}\n\n"
        "Document [1] (Title: Ada) Ada lives in Tonborg. She plays the oboe.\n"
        "Document [2] Cole lives in Kray.\n"
        "Document [3] (Title: Bo) Bo [old] lives in Tonborg.\n\n"
        f"Question: {QUESTION}\nEvidence:\n"
        "Document [3] (Title: Bo) Bo [old] lives in Tonborg.\n\n"
        f"Question: {QUESTION}\nAnswer: Tonborg"
    )
    assert read_output(whole.partition(EVIDENCE)[2]) == Written(
        "Document [3] (Title: Bo) Bo [old] lives in Tonborg.", "Tonborg"
    )


def test_without_the_question_before_them_documents_begin_alike_for_every_question() -> None:
    one, other = (question_text(q, DOCUMENTS, is_first=False) for q in (QUESTION, "Who plays?"))
    same = one.removesuffix(f"Question: {QUESTION}")
    assert other.startswith(same)
    assert "Document [3]" in same


def test_what_may_be_answered_stands_with_the_question() -> None:
    form = AnswerForm(AnswerKind.CHOICE, ("Kray", "Tonborg"))
    assert question_text(QUESTION, (), form).count("A. Kray\nB. Tonborg") == 2


@pytest.mark.parametrize(
    ("output", "written"),
    [
        ("A line.\n\nQuestion: Who?\nAnswer: Ada\nmore", Written("A line.", "Ada")),
        ("A line.\nAnswer: Ada", Written("A line.", "Ada")),
        ("Answer: no\nA line.\nAnswer:  Ada ", Written("Answer: no\nA line.", "Ada")),
        ("A line without an end", Written("A line without an end", None)),
        ("", Written("", None)),
        ("A line.\nAnswer:", Written("A line.", "")),
    ],
)
def test_the_last_answer_mark_counts(output: str, written: Written) -> None:
    assert read_output(output) == written


def test_each_sentence_is_put_down_to_the_document_that_has_it() -> None:
    evidence = (
        "Document [3] (Title: Bo) Bo [old] lives in Tonborg.\n"
        "She plays  the oboe. She never was. Document [2] Cole lives in Kray."
    )
    assert copied(evidence, DOCUMENTS) == (
        Copied("Bo [old] lives in Tonborg.", 3, 0),
        Copied("She plays the oboe.", 1, 22),
        Copied("She never was.", 0, -1),
        Copied("Document [2] Cole lives in Kray.", 0, -1),
    )


def test_of_equal_documents_the_one_that_was_named_counts() -> None:
    twins = (Paragraph("A", ("It rains.",)), Paragraph("B", ("It rains.",)))
    assert [one.document for one in copied("Document [2] (Title: B) It rains.", twins)] == [2]
    assert [one.document for one in copied("It rains.", twins)] == [1]
    assert copied("", twins) == ()
