"""The raw records of a `.json` or `.jsonl` file, plain or gzipped.

A file is read once, in pieces: what is hashed is what was decoded, and no more than one record is
held. JSON is taken strictly: no `NaN`, no name twice in one object.
"""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.text import shown
from pmi_kernel.data.limits import DataLimits

_BLOCK = 1 << 16
_SPACE = " \t\n\r"
_MOST_DIGITS = 18


def read_raw(
    path: Path, limits: DataLimits, *, watch: Callable[[memoryview], object] = len
) -> Iterator[tuple[str, object]]:
    """Yield (where, record) for each record of a file, unchecked.

    Args:
        path: The file.
        limits: The most to read.
        watch: Shown every byte of the file as it lies there, in order, once all are yielded.

    Raises:
        DataError: The file cannot be read, is over a limit, is not whole JSON, gzip or UTF-8, or
            is empty.
    """
    name = path.name.removesuffix(".gz")
    if not name.endswith((".json", ".jsonl")):
        raise DataError(f"{path}: expected a .json or .jsonl file, plain or with .gz")
    num_bytes = number = 0

    def count(block: memoryview) -> None:
        nonlocal num_bytes
        num_bytes += len(block)
        if num_bytes > limits.mb * 1_000_000:
            raise DataError(f"{path}: {limits.over('mb')}")

    try:
        with path.open("rb", buffering=0) as opened:
            stored: io.BufferedIOBase = io.BufferedReader(_Watched(opened, watch), _BLOCK)
            if path.name.endswith(".gz"):
                stored = gzip.GzipFile(fileobj=stored)
            file: BinaryIO = io.BufferedReader(_Watched(stored, count), _BLOCK)
            records = _lines if name.endswith(".jsonl") else _elements
            for number, found in enumerate(records(file, path, limits), start=1):
                if number > limits.records:
                    raise DataError(f"{path}: {limits.over('records')}")
                yield found
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 after record {number} ({error.reason})") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: broken gzip file ({error}); is it truncated?") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if number == 0:
        raise DataError(f"{path}: holds no records")


class _Watched(io.RawIOBase):
    """A file whose bytes are shown to `watch` as they pass."""

    def __init__(self, file: Any, watch: Callable[[memoryview], object]) -> None:
        self._file, self._watch = file, watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = int(self._file.readinto(buffer))
        self._watch(memoryview(buffer)[:size])
        return size


def _lines(file: BinaryIO, path: Path, limits: DataLimits) -> Iterator[tuple[str, object]]:
    """Yield the record of each line that is not blank."""
    number, most = 0, limits.record_mb * 1_000_000
    while line := file.readline(most + 1):
        number += 1
        where = f"{path}: line {number}"
        if len(line) > most:
            raise DataError(f"{where}: {limits.over('record_mb')}")
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            yield where, _decoded(_JSON.decode, text, where)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{where}: not UTF-8 ({error.reason} at byte {error.start + 1})"
            ) from None
        except json.JSONDecodeError as error:
            raise _not_whole(path, number, error.colno, error.msg) from None


def _elements(file: BinaryIO, path: Path, limits: DataLimits) -> Iterator[tuple[str, object]]:
    """Yield the elements of the file's one JSON array."""
    window = _Window(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), path, limits)
    if window.peek() not in ("[", ""):
        raise DataError(f"{path}: expected one JSON array of records")
    window.take("[")
    number, is_more = 0, window.peek() != "]"
    while is_more:
        number += 1
        where = f"{path}: record {number}"
        yield where, window.value(where)
        if is_more := window.peek() != "]":
            window.take(",")
    window.take("]")
    if window.peek():
        window.fail("extra data")


class _Window:
    """The part of a text that is being decoded."""

    def __init__(self, file: io.TextIOBase, path: Path, limits: DataLimits) -> None:
        self._file, self._path, self._limits = file, path, limits
        self._text, self._line, self._column = "", 1, 1

    def peek(self) -> str:
        """Skip white space and return the character after it; '' at the end."""
        while True:
            self._drop(len(self._text) - len(self._text.lstrip(_SPACE)))
            if self._text or not self._grow():
                return self._text[:1]

    def take(self, character: str) -> None:
        """Go beyond an expected character."""
        if self.peek() != character:
            self.fail(f"expected {character!r}")
        self._drop(1)

    def value(self, where: str) -> object:
        """Go beyond one JSON value and return it."""
        self.peek()
        most = self._limits.record_mb * 1_000_000
        while True:
            try:
                value, end = _decoded(_JSON.raw_decode, self._text, where)
            except json.JSONDecodeError as error:
                # It may be cut off where the window ends, so what is wrong is known at the end.
                is_over = len(self._text) > most
                if is_over or not self._grow():
                    self._drop(error.pos)
                    too_long = f", or {self._limits.over('record_mb')}" if is_over else ""
                    self.fail(error.msg + too_long)
                continue
            if end > most:
                raise DataError(f"{where}: {self._limits.over('record_mb')}")
            if end < len(self._text) or not self._grow():  # a number may go on
                self._drop(end)
                return value

    def fail(self, problem: str) -> NoReturn:
        """Refuse what comes next."""
        raise _not_whole(self._path, self._line, self._column, problem)

    def _grow(self) -> bool:
        block = self._file.read(max(_BLOCK, len(self._text)))  # doubled, or long ones take squares
        self._text += block
        return bool(block)

    def _drop(self, size: int) -> None:
        gone, self._text = self._text[:size], self._text[size:]
        self._line += gone.count("\n")
        self._column = size - gone.rfind("\n") + ("\n" not in gone) * (self._column - 1)


def _decoded(decode: Callable[[str], Any], text: str, where: str) -> Any:
    try:
        return decode(text)
    except RecursionError:
        raise DataError(f"{where}: nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _not_whole(path: Path, line: int, column: int, problem: str) -> DataError:
    return DataError(
        f"{path}: not whole JSON at line {line}, column {column} ({problem}); "
        "is the file truncated?"
    )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names: dict[str, object] = {}
    for name, value in pairs:
        if name in names:
            raise ValueError(f"field {shown(name)} stands there twice")
        names[name] = value
    return names


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"holds an integer of {len(digits)} digits")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
