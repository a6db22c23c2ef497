"""Records as lines of JSON: one schema version, no NaN, torn lines told from whole ones."""

import errno
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from pmi_kernel.errors import DataError
from pmi_kernel.types import EvalResult, Trace

SCHEMA = 1
"""Version of the record layout; a reader refuses any other."""

_ID = re.compile(rb'\{"schema": \d+, (?:"task": \{"id"|"episode_id"): ("(?:[^"\\]|\\.)*")')
"""How a line that `encode` wrote begins."""

_SYNC_S = 1.0
"""Longest time between two synchronisations with the disk while records are written."""

_LIVE = {"steps": {"__all__": {"adapter"}}}
"""What of a record is live only."""

Record = TypeVar("Record", Trace, EvalResult)


_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    Trace: TypeAdapter(Trace),
    EvalResult: TypeAdapter(EvalResult),
}


def encode(record: Trace | EvalResult) -> str:
    """Return the record as one line of JSON, without the line end.

    Raises:
        ValueError: A number in the record is NaN or infinite.
    """
    fields = _ADAPTERS[type(record)].dump_python(record, mode="json", exclude=_LIVE)
    return json.dumps({"schema": SCHEMA, **fields}, allow_nan=False, ensure_ascii=False)


def decode(kind: type[Record], line: str, *, where: str = "record") -> Record:
    """Return the record that `encode` wrote.

    Args:
        kind: `Trace` or `EvalResult`.
        line: One line of JSON.
        where: Names the place in error messages, e.g. `runs/x/eval_results.jsonl:7`.

    Raises:
        DataError: The line is no JSON object, has another schema version, or lacks a field.
    """
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not a line of JSON ({error.msg} at column {error.colno})"
        ) from None
    if not isinstance(fields, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(fields).__name__}")
    version = fields.pop("schema", None)
    if version != SCHEMA:
        raise DataError(
            f"{where}: schema version {version!r}, but this workbench reads {SCHEMA}; "
            "open it with the version that wrote it"
        )
    try:
        return cast("Record", _ADAPTERS[kind].validate_python(fields))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: field {name!r}: {first['msg']}") from None


def record_id(line: bytes, where: str) -> str:
    """Return the episode id of a record's line, without reading the rest of it where possible.

    Raises:
        DataError: The line is no trace and no result.
    """
    if found := _ID.match(line):
        return json.loads(found.group(1))
    try:
        fields = json.loads(line)
        return fields["task"]["id"] if "task" in fields else fields["episode_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: not a trace and not a result ({error!r})") from None


def line_places(path: Path) -> dict[str, int]:
    """Return where each whole line of a JSONL file begins, by episode id; the last one counts.

    Raises:
        DataError: As `record_id`.
    """
    places, offset = {}, 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                places[record_id(line, f"{path}:{number}")] = offset
            offset += len(line)
    return places


def read_records(kind: type[Record], path: Path) -> Iterator[Record]:
    """Yield the records of a JSONL file in order; a torn last line (no line end) is left out.

    Raises:
        DataError: A whole line cannot be read; names file and line.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith("\n"):
                yield decode(kind, line, where=f"{path}:{number}")


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
