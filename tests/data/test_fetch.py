"""Fetching from a loopback server that can break off, change its file, or lack ranges."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.core.errors import DataError
from pmi_kernel.data import load_data, load_examples, write_examples
from pmi_kernel.data.fetch import fetch
from pmi_kernel.data.layouts import LAYOUTS
from pmi_kernel.data.recasting import recast
from pmi_kernel.data.sets import SETS, DataSet, Split
from pmi_kernel.data.synth import synthesize


class Server(ThreadingHTTPServer):
    """Serves `content` at every path.

    Attributes:
        cut_after: Bytes after which the next answer breaks off; None for whole answers.
        has_ranges: Whether ranges are honoured.
        asked: The Range header of each request.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.cut_after: int | None = None
        self.has_ranges = True
        self.asked: list[str | None] = []

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()}"'

    def hosting(self, num_records: int | None = 20) -> DataSet:
        """A set whose one file is here."""
        split = Split("data.json", num_records, f"http://127.0.0.1:{self.server_port}/data.json")
        return replace(SETS["hotpotqa"], splits={"dev": split})


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        is_part = asked and server.has_ranges and self.headers.get("If-Range") == server.etag
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and is_part else 0
        body = server.content[start:]
        self.send_response(206 if is_part else 200)
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, server.cut_after = server.cut_after, None
        self.wfile.write(body if cut is None else body[:cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_DATA", str(tmp_path))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    write_examples(synthesize(20, 1), tmp_path / "source.json")
    server = Server((tmp_path / "source.json").read_bytes())
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_fetched_once_and_its_hash_recorded(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        (path,) = fetch(server.hosting())
    assert load_examples(path) == synthesize(20, 1)
    assert len(server.asked) == 1
    record = json.loads((tmp_path / "hotpotqa" / "data.json.sha256.json").read_text())
    assert record["sha256"] == hashlib.sha256(server.content).hexdigest()
    assert (record["records"], record["bytes"]) == (20, len(server.content))


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = 20_000
    with pytest.raises(DataError, match="run the command again"):
        fetch(server.hosting())
    assert not (tmp_path / "hotpotqa" / "data.json").exists()
    (path,) = fetch(server.hosting())
    assert path.read_bytes() == server.content
    assert server.asked == [None, "bytes=16384-"]  # whole blocks are kept


@pytest.mark.parametrize("change", ["content", "ranges"])
def test_a_part_that_cannot_be_continued_is_fetched_anew(
    server: Server, tmp_path: Path, change: str
) -> None:
    server.cut_after = 20_000
    with pytest.raises(DataError):
        fetch(server.hosting())
    if change == "content":
        server.content = server.content.replace(b"town", b"city")
    else:
        server.has_ranges = False
    (path,) = fetch(server.hosting())
    assert path.read_bytes() == server.content


def test_too_few_records_are_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 20 records, expected 21"):
        fetch(server.hosting(21))
    assert not (tmp_path / "hotpotqa" / "data.json").exists()


def test_an_invalid_record_is_refused(server: Server, tmp_path: Path) -> None:
    server.content = server.content.replace(b'"question"', b'"query"', 1)
    with pytest.raises(DataError, match=r"record 1, field 'question'"):
        fetch(server.hosting())


def test_a_later_change_is_noticed(server: Server, tmp_path: Path) -> None:
    (path,) = fetch(server.hosting())
    path.write_bytes(server.content.replace(b"town", b"city"))
    with pytest.raises(DataError, match="changed since it was fetched"):
        fetch(server.hosting())


def test_a_damaged_record_of_a_download_is_one_clear_error(server: Server, tmp_path: Path) -> None:
    (path,) = fetch(server.hosting())
    for damaged in ("", "[]", "{}", "[" * 100_000):
        path.with_name("data.json.sha256.json").write_text(damaged, encoding="utf-8")
        with pytest.raises(DataError, match="delete it"):
            fetch(server.hosting())


def test_no_more_is_fetched_than_would_be_read(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMI_DATA_MAX_MB", "1")
    server.content = b"x" * 1_500_000
    with pytest.raises(DataError, match="PMI_DATA_MAX_MB"):
        fetch(server.hosting())
    assert sum(path.stat().st_size for path in (tmp_path / "hotpotqa").iterdir()) < 1_100_000


def test_a_folder_that_cannot_be_written_to_is_one_clear_error(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "hotpotqa").touch()
    with pytest.raises(DataError, match="cannot be written to"):
        fetch(server.hosting())


def test_a_server_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(DataError, match="run the command again"):
        fetch(replace(SETS["hotpotqa"], splits={"dev": Split("x.json", 1, "http://127.0.0.1:1/x")}))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("popqa", "popQA.tsv"),
        ("nq_lim", "nq-open-oracle.jsonl.gz"),
        ("medqa", "phrases_no_exclude_test.jsonl"),
        ("pubmedqa", "ori_pqal.json"),
    ],
)
def test_each_set_with_an_address_is_fetched_in_its_own_layout(
    server: Server, tmp_path: Path, name: str, file: str
) -> None:
    entry, source = SETS[name], tmp_path / file
    write_examples(load_examples("world:n=12,paragraphs=4"), source, entry.layouts[0])
    server.content = source.read_bytes()
    assert {split.file for split in entry.splits.values()} >= {file}
    assert all(split.url.startswith("https://") for split in entry.splits.values())
    here = Split(file, 12, f"http://127.0.0.1:{server.server_port}/{file}")
    (path,) = fetch(replace(entry, splits={"dev": here}))
    assert path == tmp_path / name / file
    examples = load_data(name).examples
    assert len(examples) == 12
    assert {example.metric for example in examples} == {entry.metric}
    assert {example.task.form.kind for example in examples} == {entry.kind}


@pytest.mark.parametrize("name", [name for name, entry in SETS.items() if entry.how])
def test_a_set_that_a_person_has_to_get_says_what_and_where_and_is_checked_then(
    tmp_path: Path, name: str
) -> None:
    entry, told = SETS[name], []
    with pytest.raises(DataError) as caught:
        fetch(entry, say=told.append)
    message = str(caught.value)
    assert f"into {tmp_path / name}" in message
    assert "http" in message
    assert all(split.file in message for split in entry.splits.values())
    assert len(told) == len(entry.splits)
    path = tmp_path / name / entry.splits["dev"].file
    worlds = load_examples("world:n=12,paragraphs=4")
    if entry.kind is AnswerKind.YES_NO:
        worlds = [recast(example, LAYOUTS["housingqa"]) for example in worlds]
    write_examples(worlds, path, entry.layouts[0])
    if entry.splits["dev"].num_records:
        with pytest.raises(DataError, match="holds 12 records, expected"):
            fetch(entry)
    splits = {**entry.splits, "dev": replace(entry.splits["dev"], num_records=12)}
    assert fetch(replace(entry, splits=splits)) == [path]
    assert json.loads(path.with_name(f"{path.name}.sha256.json").read_text())["records"] == 12


def test_a_file_of_another_set_is_not_taken_for_it(server: Server) -> None:
    hosting = replace(SETS["popqa"], splits=server.hosting().splits)
    with pytest.raises(DataError, match="record 1, field 'id': is missing"):
        fetch(hosting)
