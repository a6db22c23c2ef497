import json
from pathlib import Path

import pytest

from pmi_kernel import Episode, PmiConfig
from pmi_kernel.core.errors import DataError
from pmi_kernel.core.records import RecordWriter, encode
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import Trace
from pmi_kernel.core.traces import TraceFile
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.systems import open_system


@pytest.fixture
def traces(sample: list[Example]) -> list[Trace]:
    system = open_system(PmiConfig(train_mem=True), ScriptedEngine())
    return [Episode(system, example).run() for example in sample[:5]]


@pytest.fixture
def path(traces: list[Trace], tmp_path: Path) -> Path:
    path = tmp_path / "episode_trace.jsonl"
    with RecordWriter(path) as writer:
        for trace in traces:
            writer.write(trace)
    return path


def test_an_episode_is_opened_by_its_id(path: Path, traces: list[Trace]) -> None:
    book = TraceFile(path)
    assert list(book) == [trace.task.id for trace in traces]
    assert book[traces[3].task.id] == traces[3]
    assert TraceFile(path.parent)[traces[1].task.id] == traces[1]


def test_the_index_follows_the_file(path: Path, traces: list[Trace]) -> None:
    TraceFile(path)
    with RecordWriter(path) as writer:
        writer.write(Trace(traces[0].task, "other", "f", traces[0].steps))
    book = TraceFile(path)
    assert len(book) == 5
    assert book[traces[0].task.id].system == "other"


def test_a_torn_last_line_is_no_episode(path: Path, traces: list[Trace]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(encode(traces[0])[:50])
    assert len(TraceFile(path)) == 5


def test_lines_of_another_layout_are_indexed_too(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"task": {"id": "a\\"b"}, "schema": 9}\n')
    assert list(TraceFile(path)) == ['a"b']
    with pytest.raises(DataError, match="schema version 9"):
        TraceFile(path)['a"b']


def test_bad_files_are_told(tmp_path: Path, path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        TraceFile(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="no episode 'x' among 5"):
        TraceFile(path)["x"]
    bad = tmp_path / "bad.jsonl"
    bad.write_text("[1]\n")
    with pytest.raises(DataError, match=r"bad.jsonl:1: expected a JSON object"):
        TraceFile(bad)


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        "null",
        "{}",
        '{"stamp": 1, "places": []}',
        '{"stamp": STAMP, "places": {"a": -1}}',
    ],
)
def test_a_damaged_index_is_made_anew(path: Path, damage: str) -> None:
    book = TraceFile(path)
    index = path.with_name(f".{path.name}.index")
    stamp = json.dumps(json.loads(index.read_text())["stamp"])
    index.write_text(damage.replace("STAMP", stamp))
    assert list(TraceFile(path)) == list(book)
    index.unlink()
    assert list(TraceFile(path)) == list(book)


def test_an_index_that_points_elsewhere_is_made_anew(path: Path, traces: list[Trace]) -> None:
    TraceFile(path)
    index = path.with_name(f".{path.name}.index")
    fields = json.loads(index.read_text())
    first, second = traces[0].task.id, traces[1].task.id
    fields["places"] |= {first: fields["places"][second], second: 7}
    index.write_text(json.dumps(fields))
    assert TraceFile(path)[first] == traces[0]
    assert TraceFile(path)[second] == traces[1]


def test_a_damaged_line_hides_no_other(path: Path, traces: list[Trace]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[1] = lines[1][:400] + "\n"
    lines[2] = "\0\0\n"
    path.write_text("".join(lines), encoding="utf-8")
    book = TraceFile(path)
    assert book[traces[3].task.id] == traces[3]
    assert traces[2].task.id not in book
    with pytest.raises(DataError, match="not a line of JSON"):
        book[traces[1].task.id]
