"""Files that are not what they should be: refused in one line, whatever is in them."""

import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.data import load_data, load_examples, write_examples
from pmi_kernel.data.check import describe
from pmi_kernel.data.synth import synthesize
from pmi_kernel.data.writing import render_examples

GOOD: dict[str, Any] = {
    "_id": "a",
    "question": "Where?",
    "answer": "Here",
    "known": "There",
    "type": "bridge",
    "level": "hard",
    "supporting_facts": [["T", 0]],
    "context": [["T", ["One.", " Two."]], ["U", ["Three."]]],
}


def refusal(path: Path) -> str:
    """What a file is refused with; reporting on it never fails in another way."""
    with pytest.raises(DataError) as caught:
        load_data(path)
    message = str(caught.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    message.encode()
    assert report(path).encode()
    return message


def report(path: Path) -> str:
    """What `pmi data check` says of a file, or is refused with."""
    try:
        return describe(path).render()
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("_id", "\ud800"),
        ("question", "a\udfffb"),
        ("answer", "\ud800"),
        ("answers", ["x", "\ud800"]),
        ("known", "\ud800"),
        ("type", "\ud800"),
        ("level", "\ud800"),
        ("supporting_facts", [["\ud800", 0]]),
        ("context", [["\ud800", ["One."]]]),
        ("context", [["T", ["One.", "\udc00\ud800"]]]),
        ("note", {"\ud800": 1}),
    ],
)
def test_what_is_not_text_is_refused_by_file_record_and_field(
    tmp_path: Path, suffix: str, field: str, value: object
) -> None:
    records = [json.dumps(GOOD), json.dumps(GOOD | {"_id": "b", field: value})]
    path = tmp_path / f"data{suffix}"
    path.write_text("\n".join(records) if suffix == ".jsonl" else f"[{','.join(records)}]")
    message = refusal(path)
    assert ("line 2" if suffix == ".jsonl" else "record 2") in message
    assert f"'{field}'" in message
    assert "not valid text" in message


def test_text_beyond_the_basic_plane_and_controls_are_data(tmp_path: Path) -> None:
    question = "\U0001f600\x1b[31m\x00\u202e?"
    path = tmp_path / "data.json"
    path.write_text(json.dumps([GOOD | {"question": question, "type": "a\x1b[2J\nb"}]))
    assert load_examples(path)[0].task.question == question
    assert "\x1b" not in report(path)
    assert "a\\x1b[2J\\nb" in report(path)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("9" * 5_000, "an integer of 5000 digits"),
        ("[" * 200_000 + "]" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000 + "1" + "}" * 200_000, "nested too deeply"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ('{"a": 1, "a": 2}', "'a' stands there twice"),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".jsonl.gz"])
def test_json_that_others_read_differently_is_refused(
    tmp_path: Path, suffix: str, value: str, problem: str
) -> None:
    record = json.dumps(GOOD)[:-1] + f', "note": {value}}}'
    path = tmp_path / f"data{suffix}"
    content = (record if "jsonl" in suffix else f"[{record}]").encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    message = refusal(path)
    assert problem in message
    assert ("line 1" if "jsonl" in suffix else "record 1") in message


@pytest.mark.parametrize(
    ("limit", "value", "content"),
    [
        ("MB", 1, " " * 1_000_001 + json.dumps([GOOD])),
        ("RECORDS", 1, json.dumps([GOOD, GOOD | {"_id": "b"}])),
        ("RECORD_MB", 1, json.dumps([GOOD | {"question": "x" * 1_000_000}])),
        ("PARAGRAPHS", 1, json.dumps([GOOD])),
        ("SENTENCES", 2, json.dumps([GOOD])),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_limit_is_named_with_how_to_raise_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    limit: str,
    value: int,
    content: str,
) -> None:
    path = tmp_path / f"data{suffix}"
    if suffix == ".jsonl":
        space = "\n" * content.count(" ") if limit == "MB" else ""
        content = space + "\n".join(json.dumps(record) for record in json.loads(content))
    path.write_text(content)
    variable = f"PMI_DATA_MAX_{limit}"
    monkeypatch.setenv(variable, str(value))
    assert f"more than {value} " in refusal(path)
    assert f"${variable}" in refusal(path)
    monkeypatch.setenv(variable, str(value + 1))
    assert load_examples(path)


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("all", "0", ""):
        monkeypatch.setenv("PMI_DATA_MAX_MB", value)
        with pytest.raises(ConfigError, match="PMI_DATA_MAX_MB"):
            load_examples("sample")


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_small_file_that_unpacks_to_a_large_one_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("PMI_DATA_MAX_RECORD_MB", "1")
    path = tmp_path / f"data{suffix}.gz"
    with gzip.open(path, "wb") as file:
        file.write(b'[{"_id": "' if suffix == ".json" else b'{"_id": "')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    tracemalloc.start()
    try:
        message = refusal(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "RECORD_MB" in message
    assert peak_bytes < 20_000_000


def test_a_broken_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n\n{{broken\n")
    assert "line 3, column 2" in refusal(path)
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"_id": "\xff"}\n')
    assert "line 2: not UTF-8 (invalid start byte at byte 10)" in refusal(path)


def test_a_break_far_into_an_array_is_named_by_its_place(tmp_path: Path) -> None:
    text = "".join(render_examples(synthesize(60, 7)))
    path = tmp_path / "data.json"
    for line in (2, 31, 60):
        lines = text.split("\n")
        lines[line - 1] = lines[line - 1][:100] + "\t" + lines[line - 1][100:]
        path.write_text("\n".join(lines))
        assert f"line {line}, column" in refusal(path)
    path.write_text(text.replace(",\n", ", "))
    assert load_examples(path) == synthesize(60, 7)
    path.write_text(text + "x")
    assert "extra data" in refusal(path)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".json.gz", ".jsonl.gz"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, suffix: str) -> None:
    text = json.dumps(GOOD) if "jsonl" in suffix else json.dumps([GOOD])
    path = tmp_path / f"data{suffix}"
    content = text.encode("utf-8-sig")
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    assert load_examples(path)[0].task.id == "a"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x" * 5_000 + ".json", "too long"),
        ("a\0b.json", "no such file"),
        ("a\udcffb.json", "not valid text"),
        ("/dev/null", "no such file"),
        ("", "directory"),
        (".", "directory"),
    ],
)
def test_a_path_to_nothing_is_refused(name: str, problem: str) -> None:
    for use in (load_data, describe):
        with pytest.raises(DataError, match=problem) as caught:
            use(name)
        assert len(str(caught.value)) < 300
        str(caught.value).encode()


@pytest.mark.parametrize("out", ["folder.json", "file/x.json", f"{'x' * 300}.json", "x.txt", "/"])
@pytest.mark.parametrize("verb", ["synth", "write sample"])
def test_a_file_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, out: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        main(["data", *verb.split(), "--out", str(tmp_path / out)])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"folder.json", "file"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="cannot be written"):
        write_examples(synthesize(1, 1), tmp_path / "x.json")


@pytest.mark.parametrize("n", ["0", "-1", "1000001", "9" * 30])
def test_a_number_of_questions_beyond_reason_is_refused(
    capsys: pytest.CaptureFixture[str], n: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["data", "synth", "--n", n])
    assert caught.value.code == 2
    assert "1 to 1,000,000" in capsys.readouterr().err


SAMPLE = {
    ".json": "".join(render_examples(synthesize(2, 7))).encode(),
    ".jsonl": "".join(render_examples(synthesize(2, 7), ".jsonl")).encode(),
}
SAMPLE |= {f"{suffix}.gz": gzip.compress(content) for suffix, content in SAMPLE.items()}


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    suffix=st.sampled_from(sorted(SAMPLE)),
    start=st.floats(0, 1),
    length=st.integers(0, 20),
    new=st.one_of(
        st.binary(max_size=4),
        st.sampled_from(
            [b'"\\ud800"', b"[" * 2_000, b"NaN", b"1e999", b"9" * 30, b'"_id":1,', b"\n", b"{}"]
        ),
    ),
)
def test_a_damaged_file_is_read_or_refused(
    tmp_path: Path, suffix: str, start: float, length: int, new: bytes
) -> None:
    whole = SAMPLE[suffix]
    at = int(start * len(whole))
    path = tmp_path / f"data{suffix}"
    path.write_bytes(whole[:at] + new + whole[at + length :])
    assert report(path).encode()
    if " 0 invalid" in report(path):
        assert "".join(render_examples(load_data(path).examples)).encode()
    else:
        refusal(path)
