"""Files of every layout that are not what they should be: refused by file, record and field.

Each layout has a good record, and every way to spoil one of its fields or the file around it.
"""

import copy
import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import DataError
from pmi_kernel.data import load_data, load_examples, load_stream
from pmi_kernel.data.check import describe
from pmi_kernel.data.decoding import KEY
from pmi_kernel.data.layouts import LAYOUTS

Record = dict[str, Any]

PARAGRAPHS = [["T", ["One.", " Two."]], ["U", ["Three."]]]
GOOD: dict[str, Record] = {
    "hotpotqa": {
        "_id": "a",
        "question": "Where?",
        "answer": "Here",
        "supporting_facts": [["T", 0]],
        "context": PARAGRAPHS,
    },
    "2wikimultihopqa": {
        "_id": "a",
        "question": "Where?",
        "answer": "Here",
        "supporting_facts": [["T", 0]],
        "context": PARAGRAPHS,
        "evidences": [["a", "b", "c"]],
    },
    "musique": {
        "id": "2hop__1_2",
        "question": "Where?",
        "answer": "Here",
        "answer_aliases": ["There"],
        "paragraphs": [
            {"idx": 0, "title": "T", "paragraph_text": "One.", "is_supporting": True},
            {"idx": 1, "title": "U", "paragraph_text": "Two.", "is_supporting": False},
        ],
    },
    "popqa": {"id": "7", "question": "Where?", "possible_answers": '["Here", "There"]'},
    "complexwebquestions": {
        "ID": "WebQTest-1",
        "question": "Where?",
        "answers": [{"answer": "Here", "aliases": ["There"]}, {"answer": None, "aliases": ["x"]}],
    },
    "nq_lim": {
        "question": "Where?",
        "answers": ["Here"],
        "ctxs": [{"title": "T", "text": "One.", "hasanswer": True, "isgold": True}],
    },
    "pubmedqa": {
        KEY: "123",
        "QUESTION": "Is it?",
        "CONTEXTS": ["One.", "Two."],
        "LABELS": ["AIM", "END"],
        "final_decision": "maybe",
    },
    "medqa": {
        "question": "Which?",
        "answer": "two",
        "options": {"A": "one", "B": "two", "C": "three"},
        "answer_idx": "B",
    },
    "housingqa": {
        "question": "Is it?",
        "answer": "Yes",
        "statutes": [["Code 1", "One."], ["Code 2", "Two."]],
    },
    "augmented": {
        "test_id": 0,
        "question": "Where?",
        "answer": ["Here", "There"],
        "passages": ["One.", "Two."],
    },
    "casehold": {"question": "Which?", "choices": ["one", "two", "three"], "answer": "B"},
    "plain": {"question": "Where?", "answer": "Here"},
    "workbench": {
        "_id": "a",
        "question": "Which?",
        "form": "choice",
        "options": ["one", "two"],
        "answers": ["two"],
        "metric": "labels",
        "context": PARAGRAPHS,
    },
}
QUESTION = {
    name: next(f for f in ("question", "QUESTION") if f in good) for name, good in GOOD.items()
}
WRONG = {
    "none": None,
    "flag": True,
    "number": 7.5,
    "object": {"x": 1},
    "nested": [[[1]]],
    "blank": " ",
}
FREE_FIELDS = {  # what may be absent, or of that kind, without harm
    ("hotpotqa", "supporting_facts", "absent"),
    ("2wikimultihopqa", "supporting_facts", "absent"),
    ("2wikimultihopqa", "evidences", "any"),
    ("musique", "answer_aliases", "absent"),
    ("augmented", "passages", "absent"),
    ("medqa", "answer", "absent"),
    ("medqa", "answer_idx", "absent"),  # the answer's text will do
}


def other(record: Record, name: str) -> Record:
    """The same record as another question."""
    changed = copy.deepcopy(record)
    changed[QUESTION[name]] += " Or not?"
    for field in ("_id", "id", "ID", KEY):
        if field in changed:
            changed[field] += "-2"
    if "test_id" in changed:
        changed["test_id"] += 1
    return changed


def content(name: str, records: list[Record], *, is_lines: bool) -> bytes:
    """What a file of some records holds; a table for PopQA, one object for PubMedQA."""
    if name == "popqa":
        table = io.StringIO()
        rows = csv.writer(table, delimiter="\t", lineterminator="\n")
        rows.writerow(GOOD[name])
        rows.writerows([record.get(field, "") for field in GOOD[name]] for record in records)
        return table.getvalue().encode()
    if name == "pubmedqa":
        members = [
            f"{json.dumps(r.get(KEY))}: {json.dumps({k: v for k, v in r.items() if k != KEY})}"
            for r in records
        ]
        return ("{" + ",\n".join(members) + "}").encode()
    told = [json.dumps(record) for record in records]
    return ("".join(f"{one}\n" for one in told) if is_lines else f"[{', '.join(told)}]").encode()


def suffix_of(name: str, *, is_lines: bool) -> str:
    return {"popqa": ".tsv", "pubmedqa": ".json"}.get(name, ".jsonl" if is_lines else ".json")


def spoiled_fields() -> Iterator[tuple[str, str, str, Record]]:
    """Yield (layout, field, how, record): each field gone or of a wrong kind, each item of it."""
    for name in GOOD:
        good = other(GOOD[name], name)
        for field, value in good.items():
            if field == KEY:
                continue
            gone = {k: v for k, v in good.items() if k != field}
            yield name, field, "absent", gone
            if name == "popqa":
                for how, wrong in (
                    ("empty", ""),
                    ("blank", " "),
                    ("open", "["),
                    ("big", "1" * 400),
                ):
                    yield name, field, how, good | {field: wrong}
                continue
            for how, wrong in WRONG.items():
                if (how, field) != ("object", "options") or name != "medqa":
                    yield name, field, how, good | {field: wrong}
            if isinstance(value, list):
                yield name, field, "empty", good | {field: []}
                for how, wrong in WRONG.items():
                    yield name, field, f"item {how}", good | {field: [*value, wrong]}
            if isinstance(value, dict):
                yield name, field, "empty", good | {field: {}}
                for how, wrong in WRONG.items():
                    yield name, field, f"item {how}", good | {field: {**value, "D": wrong}}
            if isinstance(value, str):
                yield name, field, "list", good | {field: []}
                yield name, field, "surrogate", good | {field: "\ud800x"}


def is_free(name: str, field: str, how: str) -> bool:
    """Whether that is no fault."""
    if (name, field, how) in FREE_FIELDS or (name, field, "any") in FREE_FIELDS:
        return how != "surrogate"
    allowed = {
        ("augmented", "answer", "item blank"),  # beside others, it is left out
        ("augmented", "test_id", "big"),
        ("nq_lim", "answers", "item blank"),
        ("musique", "answer_aliases", "item blank"),
        ("musique", "answer_aliases", "empty"),
        ("hotpotqa", "supporting_facts", "empty"),
        ("2wikimultihopqa", "supporting_facts", "empty"),
        ("workbench", "supporting_facts", "empty"),
        ("workbench", "context", "empty"),
        ("housingqa", "statutes", "empty"),
        ("pubmedqa", "LABELS", "empty"),
        ("popqa", "question", "open"),
        ("popqa", "question", "big"),
        ("popqa", "id", "open"),
        ("popqa", "id", "big"),
        ("complexwebquestions", "answers", "item object"),
        ("2wikimultihopqa", "evidences", "empty"),
    }
    return (name, field, how) in allowed


FAULTS = [fault for fault in spoiled_fields() if not is_free(*fault[:3])]


def refusal(path: Path) -> str:
    """What a file is refused with, by whatever reads it; a report on it fails in no other way."""
    said = []
    for use in (load_data, load_examples, load_stream):
        with pytest.raises(DataError) as caught:
            use(path)
        said.append(str(caught.value))
    assert said[0] == said[1] == said[2]
    message = said[0]
    assert str(path) in message
    assert len(message.splitlines()) == 1
    assert len(message.replace(str(path), "")) < 400
    message.encode()
    try:
        assert describe(path).render().encode()
    except DataError as error:
        str(error).encode()
    return message


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("is_lines", [False, True])
def test_the_good_records_are_good(tmp_path: Path, name: str, is_lines: bool) -> None:
    path = tmp_path / f"x{suffix_of(name, is_lines=is_lines)}"
    path.write_bytes(content(name, [GOOD[name], other(GOOD[name], name)], is_lines=is_lines))
    assert describe(path).layout == name
    assert len(load_data(path).examples) == 2


def test_there_are_enough_faults_of_every_layout() -> None:
    assert set(GOOD) == set(LAYOUTS)
    for name in GOOD:
        assert sum(fault[0] == name for fault in FAULTS) + 2 * len(FILES) >= 60


@pytest.mark.parametrize(
    ("name", "field", "how", "record"), FAULTS, ids=[" ".join(fault[:3]) for fault in FAULTS]
)
def test_a_spoiled_field_is_named_with_its_record(
    tmp_path: Path, name: str, field: str, how: str, record: Record
) -> None:
    is_lines = len(how) % 2 == 0
    path = tmp_path / f"x{suffix_of(name, is_lines=is_lines)}"
    path.write_bytes(content(name, [GOOD[name], record], is_lines=is_lines))
    message = refusal(path)
    places = {".tsv": "line 3", ".jsonl": "line 2", ".json": "record 2"}
    assert places[path.suffix] in message
    # Without the field that marks its layout a record may be told by another; of an answer and
    # its options either may be wrong.
    is_told_by_another = how == "absent" or field in ("answer", "answer_idx", "options", "choices")
    assert f"'{field}'" in message or is_told_by_another


# -- the file around the records ------------------------------------------------------------------


def two(name: str) -> bytes:
    return content(name, [GOOD[name], other(GOOD[name], name)], is_lines=False)


FILES: dict[str, Callable[[str], bytes]] = {
    "empty": lambda name: b"",
    "blank": lambda name: b" \n\n ",
    "a mark alone": lambda name: b"\xef\xbb\xbf",
    "a number": lambda name: b"7",
    "a text": lambda name: b'"text"',
    "no records": lambda name: b"[]",
    "an empty object": lambda name: b"{}",
    "lists": lambda name: b"[[1], [2]]",
    "nulls": lambda name: b"[null]",
    "cut after a byte": lambda name: two(name)[:1],
    "cut in the middle": lambda name: two(name)[: len(two(name)) // 2],
    "cut before the end": lambda name: two(name)[:-2].rstrip(b']}\n" '),
    "zeros": lambda name: bytes(len(two(name))),
    "zeros at the end": lambda name: two(name) + bytes(64),
    "a zero within": lambda name: two(name)[:20] + b"\0" + two(name)[20:],
    "UTF-16": lambda name: two(name).decode().encode("utf-16"),
    "not UTF-8": lambda name: two(name)[:30] + b"\xff\xfe" + two(name)[30:],
    "half a character": lambda name: two(name)[:30] + b"\xf0\x9f" + two(name)[30:],
    "two marks": lambda name: b"\xef\xbb\xbf" * 2 + two(name),
    "a mark within": lambda name: two(name)[:1] + b"\xef\xbb\xbf" + two(name)[1:],
    "twice": lambda name: two(name) + two(name),
    "a page": lambda name: b"<!DOCTYPE html><html><body>Not found</body></html>",
    "a pointer": lambda name: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n",
    "an archive": lambda name: b"PK\x03\x04" + bytes(range(200)),
    "gzip by another name": lambda name: gzip.compress(two(name)),
    "trash behind": lambda name: two(name) + b"}]",
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("how", FILES)
@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_spoiled_file_is_refused(tmp_path: Path, name: str, how: str, is_zipped: bool) -> None:
    path = tmp_path / f"x{suffix_of(name, is_lines=False)}{'.gz' if is_zipped else ''}"
    spoiled = FILES[how](name)
    path.write_bytes(gzip.compress(spoiled) if is_zipped else spoiled)
    refusal(path)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_gzip_file_that_breaks_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / f"x{suffix_of(name, is_lines=False)}.gz"
    packed = gzip.compress(two(name))
    path.write_bytes(packed[: int(share * len(packed))])
    assert "gzip" in refusal(path)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "popqa"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("9" * 401, "an integer of 401 digits"),
        ("-" + "1" * 19, "an integer of 20 digits"),
        ("NaN", "NaN is not JSON"),
        ("Infinity", "Infinity is not JSON"),
        ('{"a": 1, "a": 2}', "'a' stands there twice"),
        ("[" * 50_000 + "]" * 50_000, "nested too deeply"),
    ],
)
def test_json_that_others_read_differently_is_refused(
    tmp_path: Path, name: str, value: str, problem: str
) -> None:
    path = tmp_path / f"x{suffix_of(name, is_lines=False)}"
    whole = two(name).decode()
    at = whole.rindex(f'"{QUESTION[name]}"')
    path.write_text(f'{whole[:at]}"note": {value}, {whole[at:]}', encoding="utf-8")
    message = refusal(path)
    assert problem in message
    assert "record 2" in message


LINES = [name for name in GOOD if name not in ("popqa", "pubmedqa")]
"""Layouts whose files are JSON lines."""


@pytest.mark.parametrize(("name", "stranger"), list(permutations(LINES, 2)))
def test_a_record_of_another_layout_is_named(tmp_path: Path, name: str, stranger: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content(name, [GOOD[name], GOOD[stranger]], is_lines=True))
    message = refusal(path)
    assert "line 2, field" in message
    assert f"is of the layout {stranger}, and the file began in {name}" in message


@pytest.mark.parametrize("name", [n for n, layout in LAYOUTS.items() if layout.id_field])
def test_an_id_that_stands_there_twice_is_named_with_both_places(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"x{suffix_of(name, is_lines=True)}"
    path.write_bytes(
        content(name, [GOOD[name], other(GOOD[name], name), GOOD[name]], is_lines=True)
    )
    message = refusal(path)
    places = {".jsonl": ("line 3", "line 1"), ".json": ("record 3", "record 1")}
    for place in places.get(path.suffix, ("line 4", "line 2")):
        assert place in message
    assert f"'{LAYOUTS[name].id_field}'" in message


@pytest.mark.parametrize("name", GOOD)
def test_a_small_file_that_unpacks_to_a_large_one_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PMI_DATA_MAX_MB", "8")
    monkeypatch.setenv("PMI_DATA_MAX_RECORD_MB", "1")
    path = tmp_path / f"x{suffix_of(name, is_lines=True)}.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(two(name)[:12])
        for _ in range(20):
            file.write(b" " * 1_000_000)
    tracemalloc.start()
    try:
        assert "PMI_DATA_MAX" in refusal(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20_000_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id\n1\n", "line 1: expected the names of two columns"),
        ("id\tid\tquestion\n", "line 1: column 'id' stands there twice"),
        ("id\t\tquestion\n", "line 1: expected the names"),
        ("test_id\tquestion\tanswer\n1\tQ?\n", "line 2: 2 columns, and the first row names 3"),
        ("test_id\tquestion\tanswer\n1\tQ?\tA\tB\n", "line 2: 4 columns"),
        ('test_id\tquestion\tanswer\n1\t"Q?\tA\n2\tR?\tB\n', "line 2: a quote is not closed"),
        ('test_id\tquestion\tanswer\n1\t"Q"?\tA\n', "line 2: not tab-separated"),
        ("test_id\tquestion\tanswer\n", "holds no records"),
        ("test_id\tquestion\tanswer\n1\tQ\0?\tA\n", "line 2: holds a NUL"),
        ("a\tb\n1\t2\n", "line 2: the fields ['a', 'b'] are of no layout"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_text(text, encoding="utf-8")
    assert problem in refusal(path)


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_left_half_written_of_a_bad_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / f"x{suffix_of(name, is_lines=False)}"
    path.write_bytes(two(name)[:-3])
    for words in (
        ["data", "write", str(path), "--out", str(tmp_path / "out.jsonl")],
        ["run", "--data", str(path), "--out", str(tmp_path / "run"), "--engine", "scripted"],
    ):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"pmi: {path}")
    assert {one.name for one in tmp_path.iterdir()} == {path.name, "run"}
    assert {one.name for one in (tmp_path / "run").iterdir()} <= {"run.lock", "status.json"}
