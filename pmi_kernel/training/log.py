"""Logs of a training: lines of JSON that tell one story, however often it was gone on with."""

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

STEPS = "train_log.jsonl"
EVALUATIONS = "eval_log.jsonl"


class Log:
    """Appends rows to a log, each in one write.

    Opening cuts off a torn last line and the rows of steps after `last_step`, which are done again.

    Args:
        path: The file.
        last_step: The step from which the training goes on.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        self._file = path.open("ab", buffering=0)
        end = 0
        for _, after, row in _rows(path):
            if row["step"] > last_step:
                break
            end = after
        os.ftruncate(self._file.fileno(), end)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; a number that is not finite is null.

        Raises:
            OSError: It could not be written whole (a full disk, say).
        """
        line = (json.dumps(_finite(row), ensure_ascii=False) + "\n").encode()
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)

    def sync(self) -> None:
        """Bring what was written onto the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Followed:
    """A log that is read while it is written: only what was appended since is read again.

    Args:
        path: The file, which may not be there yet.

    Attributes:
        rows: Its rows so far; a torn last line is left out.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0
        self.rows: list[dict[str, Any]] = []

    def look(self) -> bool:
        """Read what is new, and return whether anything is."""
        found = list(_rows(self._path, self._last)) if self._path.exists() else []
        if self.rows and found and found[0][2] == self.rows[-1]:
            del found[0]
        elif self.rows:  # it was cut, and is gone on with
            self.rows = []
            found = list(_rows(self._path, 0)) if self._path.exists() else []
        self.rows += [row for *_, row in found]
        if found:
            self._last = found[-1][0]
        return bool(found)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a log; a torn last line is left out. Empty where there is no file."""
    followed = Followed(path)
    followed.look()
    return followed.rows


def _rows(path: Path, start: int = 0) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The rows from a place on, up to the first that cannot be read, each between its places."""
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                return
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                return
            yield start, start + len(line), row
            start += len(line)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
