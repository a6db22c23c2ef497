import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pmi_kernel.core.errors import DataError
from pmi_kernel.data import data_hash, load_data, load_examples, resolve_source, write_examples
from pmi_kernel.data.check import describe
from pmi_kernel.data.synth import synthesize

GOOD: dict[str, Any] = {
    "_id": "a",
    "question": "Where?",
    "answer": "Here",
    "type": "bridge",
    "level": "hard",
    "supporting_facts": [["T", 0]],
    "context": [["T", ["One.", " Two."]]],
}


def write(path: Path, *records: object) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    else:
        path.write_text(json.dumps(records), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_every_layout_reads_the_same(tmp_path: Path, suffix: str, is_zipped: bool) -> None:
    examples = synthesize(5, 3)
    path = tmp_path / f"data{suffix}"
    write_examples(examples, path)
    if is_zipped:
        zipped = path.with_name(path.name + ".gz")
        zipped.write_bytes(gzip.compress(path.read_bytes()))
        path = zipped
    assert load_examples(path) == examples


@pytest.mark.parametrize("name", ["data.json", "data.jsonl", "data.json.gz", "data.jsonl.gz"])
def test_data_is_loaded_with_the_hash_of_what_was_decoded(tmp_path: Path, name: str) -> None:
    path = tmp_path / name.removesuffix(".gz")
    write_examples(synthesize(50, 3), path)
    if name.endswith(".gz"):
        # A second member, empty, and padding: all of it is the file's.
        packed = gzip.compress(path.read_bytes()) + gzip.compress(b"") + bytes(9)
        path = tmp_path / name
        path.write_bytes(packed)
    data = load_data(path)
    assert data.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == data_hash(path)
    assert list(data.examples) == synthesize(50, 3) == load_examples(path)
    assert data.source == resolve_source(str(path)) == str(path.resolve())


def test_named_data_keeps_its_name() -> None:
    assert load_data("sample").source == "sample"
    assert load_data("sample").sha256 == data_hash("sample")


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != field}


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (without("_id"), "_id"),
        (GOOD | {"_id": 7}, "_id"),
        (GOOD | {"question": "  "}, "question"),
        (without("answer"), "answer"),
        (GOOD | {"answer": ["Here"]}, "answer"),
        (GOOD | {"answers": []}, "answers"),
        (GOOD | {"answers": ["x", 3]}, "answers"),
        (GOOD | {"type": 1}, "type"),
        (without("context"), "context"),
        (GOOD | {"context": []}, "context"),
        (GOOD | {"context": [["T", []]]}, "context"),
        (GOOD | {"context": [["T", "text"]]}, "context"),
        (GOOD | {"context": [["T", ["One.", 2]]]}, "context"),
        (GOOD | {"supporting_facts": [["U", 0]]}, "supporting_facts"),
        (GOOD | {"supporting_facts": [["T", "0"]]}, "supporting_facts"),
        (GOOD | {"supporting_facts": [["T", -1]]}, "supporting_facts"),
        (GOOD | {"supporting_facts": None}, "supporting_facts"),
        (GOOD | {"_id": "first"}, "_id"),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_bad_record_is_named_by_file_number_and_field(
    tmp_path: Path, suffix: str, record: object, field: str
) -> None:
    path = write(tmp_path / f"data{suffix}", GOOD | {"_id": "first"}, record)
    with pytest.raises(DataError) as caught:
        load_examples(path)
    message = str(caught.value)
    assert str(path) in message
    assert ("record 2" if suffix == ".json" else "line 2") in message
    assert f"'{field}'" in message


def test_a_record_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected an object"):
        load_examples(write(tmp_path / "data.json", "text"))


@pytest.mark.parametrize("name", ["data.json", "data.jsonl", "data.json.gz"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    whole = write(tmp_path / name.removesuffix(".gz"), GOOD, GOOD | {"_id": "b"}).read_bytes()
    data = gzip.compress(whole) if name.endswith(".gz") else whole
    (tmp_path / name).write_bytes(data[:-20])
    with pytest.raises(DataError, match="truncated"):
        load_examples(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"[]", "expected a .json"),
        ("x.json", b"[]", "no records"),
        ("x.json", b"{}", "no records"),
        ("x.jsonl", b"\n", "no records"),
        ("x.json", b'["\xff"]', "UTF-8"),
        ("x.json.gz", b"plain", "gzip"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_examples(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_examples(tmp_path / "none.json")


def test_several_answers_are_several_golds(tmp_path: Path) -> None:
    path = write(tmp_path / "data.json", GOOD | {"answers": ["Here", "There"]})
    assert load_examples(path)[0].gold.answers == ("Here", "There")


def test_real_questions_are_read(shared_data: Path) -> None:
    examples = load_examples(shared_data / "hotpotqa" / "hotpot_dev_distractor_sample_100.json")
    assert len(examples) == 100
    assert {len(example.task.context) for example in examples} == {10}


def test_the_report_lists_every_problem(tmp_path: Path) -> None:
    path = write(tmp_path / "data.json", GOOD, GOOD, without("answer"))
    report = describe(path)
    assert (report.num_examples, len(report.problems)) == (1, 2)
    assert "stands at record 1 already" in report.render()
    assert "record 3" in report.render()


def test_the_report_counts_answers_in_context() -> None:
    kinds = describe("sample").answer_kinds
    assert kinds.get("not in context", 0) == 0
    assert kinds["yes"] == kinds["no"] == 3
