"""Asking one question after the other, on the command line."""

import io

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.task import Example

WORDS = ("ask", "--system", "lexical", "--data", "first:2:sample")


def asked(monkeypatch: pytest.MonkeyPatch, typed: str, *words: str) -> int | str | None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    with pytest.raises(SystemExit) as ended:
        main([*WORDS, *words])
    return ended.value.code


def test_questions_of_the_data_come_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sample: list[Example]
) -> None:
    assert asked(monkeypatch, "gold\n\nnext\nhelp\nquit\nnever") == 0
    printed = capsys.readouterr().out
    first, second = sample[:2]
    assert printed.index(first.task.question) < printed.index(second.task.question)
    assert f"\n{first.gold.answers[0]}\n" in printed
    assert printed.count("  answer: ") == 2
    assert "these were all" in printed
    assert "a question of yours" in printed
    assert "never" not in printed


def test_what_is_typed_is_asked_about_the_same_documents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sample: list[Example]
) -> None:
    title = sample[0].task.context[2].title
    assert asked(monkeypatch, f"Where is {title}?\nagain\ndocs\n", "--topk", "1") == 0
    printed = capsys.readouterr().out
    assert f"remember: {title}" in printed
    assert printed.count("  answer: ") == 3
    assert sample[0].task.context[2].text in printed


def test_systems_stand_side_by_side(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    against = ("--against", "retriever=bm25,topk=1", "--limit", "2")
    assert asked(monkeypatch, "", *against) == 0
    printed = capsys.readouterr().out
    assert printed.count("-- lexical") == printed.count("-- retriever=bm25,topk=1") == 2
    assert printed.count("  answer: ") == 4


def test_one_question_is_asked_and_that_is_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(monkeypatch, "not read", "--question", "Who was it?") == 0
    printed = capsys.readouterr().out
    assert printed.count("  answer: ") == 1
    assert "not read" not in printed


def test_what_two_systems_share_is_closed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    words = ["--model", tiny, "--device", "cpu", "--shots", "0", "--answer_tokens", "4"]
    with pytest.raises(SystemExit) as ended:
        main(["ask", "--system", "in_context", "--against", "closed_book", "--limit", "1", *words])
    assert ended.value.code == 0
    assert capsys.readouterr().out.count("  answer: ") == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--against", "nobody"), "neither a system"),
        (("--against", "topk=none"), "topk"),
        (("--against", "colour=red"), "there is no such setting"),
    ],
)
def test_what_cannot_stand_beside_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    assert asked(monkeypatch, "", *words) == 2
    assert told in capsys.readouterr().err
