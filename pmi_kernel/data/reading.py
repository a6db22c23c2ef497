"""A data file, `.json`, `.jsonl` or `.tsv`, plain or gzipped: read once, and a record of it again.

What is hashed is what was decoded, and no more than one record is held.
"""

import gzip
import io
import os
import weakref
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from pmi_kernel.core.errors import DataError
from pmi_kernel.data.decoding import Decoder, JsonLines, JsonRecords, Raw, TabSeparated
from pmi_kernel.data.limits import DataLimits

_BLOCK = 1 << 16
_DECODERS: dict[str, type[Decoder]] = {
    ".json": JsonRecords,
    ".jsonl": JsonLines,
    ".tsv": TabSeparated,
}


class DataFile:
    """The records of a file.

    Args:
        path: The file.
        limits: The most to read.
        decoder: How it is written, where its name does not tell.
        is_kept: Whether records are to be had again. The file then stays open until this object is
            gone, so that one which takes its place changes nothing; a gzipped one is unpacked into
            a temporary file without a name.

    Raises:
        DataError: The file's name ends in none of `.json .jsonl .tsv` (plain or with `.gz`).
    """

    def __init__(
        self,
        path: Path,
        limits: DataLimits,
        decoder: type[Decoder] | None = None,
        *,
        is_kept: bool = False,
    ) -> None:
        decoder = decoder or _DECODERS.get(Path(path.name.removesuffix(".gz")).suffix)
        if decoder is None:
            raise DataError(f"{path}: expected a .json, .jsonl or .tsv file, plain or with .gz")
        self.path = path
        self._limits, self._is_kept = limits, is_kept
        self._decoder = decoder(path, limits)
        self._descriptor = -1
        self._starts, self._sizes = array("Q"), array("L")

    def records(self, *, watch: Callable[[memoryview], object] = len) -> Iterator[Raw]:
        """Yield each record, unchecked.

        Args:
            watch: Shown every byte of the file as it lies there, in order, once all are yielded.

        Raises:
            DataError: The file cannot be read, is over a limit, is not whole JSON, gzip or UTF-8,
                or is empty.
        """
        path, number = self.path, 0
        is_packed = path.name.endswith(".gz")
        num_bytes, unpacked = 0, None

        def count(block: memoryview) -> None:
            nonlocal num_bytes
            num_bytes += len(block)
            if num_bytes > self._limits.mb * 1_000_000:
                raise DataError(f"{path}: {self._limits.over('mb')}")
            if unpacked is not None:
                unpacked.write(block)

        try:
            with ExitStack() as stack:
                opened = stack.enter_context(path.open("rb", buffering=0))
                stored: io.BufferedIOBase = io.BufferedReader(_Watched(opened, watch), _BLOCK)
                if is_packed:
                    stored = gzip.GzipFile(fileobj=stored)
                if is_packed and self._is_kept:
                    unpacked = stack.enter_context(TemporaryFile(buffering=0))
                if self._is_kept:
                    self._descriptor = os.dup((unpacked or opened).fileno())
                    weakref.finalize(self, os.close, self._descriptor)
                file: BinaryIO = io.BufferedReader(_Watched(stored, count), _BLOCK)
                for number, raw in enumerate(self._decoder.records(file), start=1):
                    if number > self._limits.records:
                        raise DataError(f"{path}: {self._limits.over('records')}")
                    yield raw
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 after record {number} ({error.reason})") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: broken gzip file ({error}); is it truncated?") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        if number == 0:
            raise DataError(f"{path}: holds no records")

    def remember(self, raw: Raw) -> None:
        """Note where a record stands, so that `again` finds it; they are numbered from 0."""
        self._starts.append(raw.start)
        self._sizes.append(raw.size)

    def again(self, number: int) -> object:
        """Return the value of a record that was noted; threads may ask at once.

        Raises:
            DataError: The file's bytes were changed meanwhile.
        """
        data = os.pread(self._descriptor, self._sizes[number], self._starts[number])
        try:
            return self._decoder.again(data.decode())
        except (ValueError, RecursionError):
            raise DataError(f"{self.path}: was changed while it was used; start anew") from None


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
