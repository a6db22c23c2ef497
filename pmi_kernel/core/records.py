"""Records as lines of JSON: one schema version, no NaN, torn lines told from whole ones."""

import errno
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.trace import Trace

SCHEMA = 2
"""Version of the record layout; a reader takes this and the one before, and refuses any other."""

_SCORES_1 = ("em", "f1", "precision", "recall", "sub_em")
"""The scores that a result of version 1 has as fields of its own."""

_ID = re.compile(rb'\{"schema": \d+, (?:"task": \{"id"|"episode_id"): ("(?:[^"\\]|\\.)*")')
"""How a line that `encode` wrote begins."""

_SYNC_S = 1.0
"""Longest time between two synchronisations with the disk while records are written."""

_LIVE = {"steps": {"__all__": {"change", "state", "prompt"}}}
"""What of a record is live only."""

Record = TypeVar("Record", Trace, EvalResult)


_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    Trace: TypeAdapter(Trace),
    EvalResult: TypeAdapter(EvalResult),
}
_OBJECT = TypeAdapter(dict[str, Any])


def encode(record: Trace | EvalResult) -> str:
    """Return the record as one line of JSON, without the line end.

    Raises:
        ValueError: A number in the record is NaN or infinite.
    """
    fields = _ADAPTERS[type(record)].dump_python(record, mode="json", exclude=_LIVE)
    return json.dumps({"schema": SCHEMA, **fields}, allow_nan=False, ensure_ascii=False)


def decode(kind: type[Record], line: str | bytes, *, where: str = "record") -> Record:
    """Return the record that `encode` wrote.

    Args:
        kind: `Trace` or `EvalResult`.
        line: One line of JSON.
        where: Names the place in error messages, e.g. `runs/x/eval_results.jsonl:7`.

    Raises:
        DataError: The line is no JSON object, has another schema version, or lacks a field.
    """
    fields = _parse(line, where)
    version = fields.pop("schema", None)
    if version == 1 and kind is EvalResult:
        if absent := [name for name in _SCORES_1 if name not in fields]:
            raise DataError(f"{where}: field {absent[0]!r}: missing")
        fields["scores"] = {name: fields.pop(name) for name in _SCORES_1}
    elif version not in (1, SCHEMA):
        raise DataError(
            f"{where}: schema version {version!r}, but this workbench reads 1 to {SCHEMA}; "
            "open it with the version that wrote it"
        )
    try:
        return cast("Record", _ADAPTERS[kind].validate_python(fields))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: field {name!r}: {first['msg']}") from None


def _parse(line: str | bytes, where: str) -> dict[str, Any]:
    try:
        return _OBJECT.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "dict_type":
            found = type(first["input"]).__name__
            raise DataError(f"{where}: expected a JSON object, found {found}") from None
        raise DataError(f"{where}: not a line of JSON ({first['msg']})") from None


def record_id(line: bytes, where: str) -> str:
    """Return the episode id of a record's line, without reading the rest of it where possible.

    Raises:
        DataError: The line is no trace and no result.
    """
    if found := _ID.match(line):
        line = b'{"episode_id": %b}' % found.group(1)
    fields = _parse(line, where)
    try:
        return str(fields["task"]["id"] if "task" in fields else fields["episode_id"])
    except (KeyError, TypeError):
        raise DataError(f"{where}: not a trace and not a result") from None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file: its number from 1, its first byte's place, and its bytes."""

    number: int
    offset: int
    text: bytes


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a file in order; a torn last line (no line end) is left out."""
    offset = 0
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            if text.endswith(b"\n"):
                yield Line(number, offset, text)
            offset += len(text)


def read_records(kind: type[Record], path: Path) -> Iterator[Record]:
    """Yield the records of a JSONL file in order; a torn last line (no line end) is left out.

    Raises:
        DataError: A whole line cannot be read; names file and line.
    """
    for line in read_lines(path):
        yield decode(kind, line.text, where=f"{path}:{line.number}")


def read_whole(
    kind: type[Record], path: Path, unreadable: list[str]
) -> Iterator[tuple[Line, Record]]:
    """Yield the lines of a JSONL file that are records, in order, each with its record.

    Args:
        kind: `Trace` or `EvalResult`.
        path: The file.
        unreadable: Takes the place of each other line, e.g. `eval_results.cpu0.jsonl:7`.
    """
    for line in read_lines(path):
        try:
            yield line, decode(kind, line.text)
        except DataError:
            unreadable.append(f"{path.name}:{line.number}")


class RecordWriter:
    """Appends records to a JSONL file, each in one write.

    A record survives a killed process as soon as `write` returns, and a power cut once the file
    was synchronised: on closing, and at most a second after the write before it.
    Opening cuts off a torn last line, left by a writer that was killed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+", buffering=0)
        _cut_torn_line(self._file.fileno())
        self._synced_s = time.monotonic()

    def write(self, record: Trace | EvalResult) -> None:
        """Append one record.

        Raises:
            OSError: It could not be written whole (a full disk, say); nothing of it is left.
        """
        line = (encode(record) + "\n").encode()
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        except OSError:
            os.ftruncate(self._file.fileno(), size)
            raise
        if time.monotonic() - self._synced_s > _SYNC_S:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced_s = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        if not self._file.closed:
            self._sync()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cut_torn_line(descriptor: int) -> None:
    size = end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - 65536)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)
