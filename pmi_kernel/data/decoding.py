"""The records of a text file, one after another, and any of them again by where it stands.

JSON is taken strictly: no `NaN`, no name twice in one object.
"""

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.text import shown
from pmi_kernel.data.limits import DataLimits

KEY = "(key)"
"""The field in which a record of one JSON object of records has its name there."""

_BLOCK = 1 << 16
_SPACE = " \t\n\r"
_MOST_DIGITS = 18
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Raw:
    """One record, unchecked.

    Attributes:
        where: File and number, for messages.
        value: What was decoded.
        start: Its first byte's place in the unpacked file.
        size: Its bytes.
    """

    where: str
    value: object
    start: int
    size: int


class Decoder(ABC):
    """How a file's bytes become records.

    Args:
        path: Names the file in messages.
        limits: The most to read.
    """

    def __init__(self, path: Path, limits: DataLimits) -> None:
        self.path, self.limits = path, limits

    @abstractmethod
    def records(self, file: BinaryIO) -> Iterator[Raw]:
        """Yield each record.

        Raises:
            DataError: What comes next is no record, or is over a limit.
            UnicodeDecodeError: It is not UTF-8.
        """

    @abstractmethod
    def again(self, text: str) -> object:
        """Return the value of a record that was yielded before, by its text in the file."""

    @property
    def most_bytes(self) -> int:
        """Most bytes of a record."""
        return self.limits.record_mb * 1_000_000

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
        """Yield (number, start, line) of each line, byte order mark and all."""
        number = start = 0
        while line := file.readline(self.most_bytes + 1):
            number += 1
            if len(line) > self.most_bytes:
                raise DataError(f"{self._line(number)}: {self.limits.over('record_mb')}")
            yield number, start, line
            start += len(line)

    def _line(self, number: int) -> str:
        return f"{self.path}: line {number}"

    def _text(self, line: bytes, number: int, *, is_first: bool = False) -> str:
        try:
            return line.decode("utf-8-sig" if is_first else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self._line(number)}: not UTF-8 ({error.reason} at byte {error.start + 1})"
            ) from None

    def _not_whole(self, line: int, column: int, problem: str) -> DataError:
        return DataError(
            f"{self.path}: not whole JSON at line {line}, column {column} ({problem}); "
            "is the file truncated?"
        )


class JsonLines(Decoder):
    """A record on each line that is not blank."""

    def records(self, file: BinaryIO) -> Iterator[Raw]:
        """See `Decoder.records`."""
        for number, start, line in self._lines(file):
            if not line.strip():
                continue
            where = self._line(number)
            try:
                text = self._text(line, number, is_first=number == 1)
                value = _decoded(_JSON.decode, text, where)
            except json.JSONDecodeError as error:
                raise self._not_whole(number, error.colno, error.msg) from None
            yield Raw(where, value, start, len(line))

    def again(self, text: str) -> object:
        """See `Decoder.again`."""
        return _JSON.decode(text.removeprefix(_BOM))


class JsonRecords(Decoder):
    """The elements of one JSON array, or the members of one JSON object, each under its name."""

    def __init__(self, path: Path, limits: DataLimits) -> None:
        super().__init__(path, limits)
        self._is_object = False

    def records(self, file: BinaryIO) -> Iterator[Raw]:
        """See `Decoder.records`."""
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        window = _Window(text, self._not_whole, self.limits)
        if window.peek() not in ("[", "{", ""):
            raise DataError(f"{self.path}: expected one JSON array of records")
        self._is_object = window.peek() == "{"
        begin, end = "{}" if self._is_object else "[]"
        window.take(begin)
        number, is_more = 0, window.peek() != end
        while is_more:
            number += 1
            window.peek()
            where, start = f"{self.path}: record {number}", window.at
            value = window.value(where)
            if self._is_object:
                if not isinstance(value, str):
                    window.fail("expected a name")
                where = f"{where} ({shown(value)})"
                window.take(":")
                value = _named(value, window.value(where))
            yield Raw(where, value, start, window.at - start)
            if is_more := window.peek() != end:
                window.take(",")
        window.take(end)
        if window.peek():
            window.fail("extra data")

    def again(self, text: str) -> object:
        """See `Decoder.again`."""
        if not self._is_object:
            return _JSON.decode(text)
        ((name, value),) = _JSON.decode(f"{{{text}}}").items()
        return _named(name, value)


def _named(name: str, value: object) -> object:
    return {**value, KEY: name} if isinstance(value, dict) else value


class _Window:
    """The part of a text that is being decoded.

    Attributes:
        at: Bytes of the file before it.
    """

    def __init__(
        self,
        file: io.TextIOBase,
        not_whole: Callable[[int, int, str], DataError],
        limits: DataLimits,
    ) -> None:
        self._file, self._not_whole, self._limits = file, not_whole, limits
        self._text, self._line, self._column, self.at = "", 1, 1, 0
        self._grow()
        if self._text.startswith(_BOM):
            self._drop(len(_BOM))
            self._column = 1

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
        raise self._not_whole(self._line, self._column, problem)

    def _grow(self) -> bool:
        block = self._file.read(max(_BLOCK, len(self._text)))  # doubled, or long ones take squares
        self._text += block
        return bool(block)

    def _drop(self, size: int) -> None:
        gone, self._text = self._text[:size], self._text[size:]
        self.at += len(gone.encode())
        self._line += gone.count("\n")
        self._column = size - gone.rfind("\n") + ("\n" not in gone) * (self._column - 1)


class TabSeparated(Decoder):
    """A record a row, its fields named by the first row; a value in quotes may hold anything.

    As pandas writes a table with tabs: a quote within quotes is doubled.
    """

    def __init__(self, path: Path, limits: DataLimits) -> None:
        super().__init__(path, limits)
        self._names: list[str] = []

    def records(self, file: BinaryIO) -> Iterator[Raw]:
        """See `Decoder.records`."""
        rows = self._rows(file)
        for number, _, row in rows:
            self._names = self._cells(self._text(row, number, is_first=True), number)
            if len(self._names) < 2 or not all(self._names):
                raise DataError(f"{self._line(number)}: expected the names of two columns or more")
            if twice := {name for name in self._names if self._names.count(name) > 1}:
                raise DataError(
                    f"{self._line(number)}: column {shown(min(twice))} stands there twice"
                )
            break
        for number, start, row in rows:
            if not row.strip(b"\r\n"):
                continue
            cells = self._cells(self._text(row, number), number)
            if len(cells) != len(self._names):
                raise DataError(
                    f"{self._line(number)}: {len(cells)} columns, and the first row names "
                    f"{len(self._names)}; is the file truncated?"
                )
            yield Raw(
                self._line(number), dict(zip(self._names, cells, strict=True)), start, len(row)
            )

    def again(self, text: str) -> object:
        """See `Decoder.again`."""
        return dict(zip(self._names, self._cells(text, 0), strict=True))

    def _rows(self, file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
        """Yield (number of its first line, start, row); a row ends where no quote is open."""
        row, begun, first, is_open = b"", 0, 0, False
        for number, start, line in self._lines(file):
            if not row:
                begun, first = start, number
            row += line
            is_open ^= line.count(b'"') % 2 == 1
            if len(row) > self.most_bytes:
                raise DataError(f"{self._line(first)}: {self.limits.over('record_mb')}")
            if not is_open:
                yield first, begun, row
                row = b""
        if row:
            raise DataError(f"{self._line(first)}: a quote is not closed; is the file truncated?")

    def _cells(self, row: str, number: int) -> list[str]:
        if "\0" in row:
            raise DataError(f"{self._line(number)}: holds a NUL character; is it text?")
        try:
            lines = list(csv.reader(io.StringIO(row, newline=""), delimiter="\t", strict=True))
        except csv.Error as error:
            raise DataError(f"{self._line(number)}: not tab-separated ({error})") from None
        return lines[0] if lines else []


def decode_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON, or JSON that others read differently.
    """
    try:
        return _JSON.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _decoded(decode: Callable[[str], Any], text: str, where: str) -> Any:
    try:
        return decode(text)
    except RecursionError:
        raise DataError(f"{where}: nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


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
