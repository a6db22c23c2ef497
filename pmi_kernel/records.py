"""Records as lines of JSON: one schema version, no NaN, torn lines told from whole ones."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from pmi_kernel.errors import DataError
from pmi_kernel.types import EvalResult, Trace

SCHEMA = 1
"""Version of the record layout; a reader refuses any other."""

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
    """Appends records to a JSONL file, each in one write that reaches the disk before it returns.

    Opening cuts off a torn last line, left by a writer that was killed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+", buffering=0)
        _cut_torn_line(self._file.fileno())

    def write(self, record: Trace | EvalResult) -> None:
        """Append one record; when this returns, the record survives a crash."""
        self._file.write((encode(record) + "\n").encode())
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
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
