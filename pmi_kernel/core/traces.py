"""A run's traces as a book: any episode is opened by its id, without reading the others."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import NonNegativeInt, TypeAdapter, ValidationError

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.records import decode, read_lines, record_id
from pmi_kernel.core.trace import Trace


@dataclass(frozen=True, slots=True)
class _Index:
    """Where each episode's line begins, and the file's size and time that this is true of."""

    stamp: tuple[int, int]
    places: dict[str, NonNegativeInt]


_INDEX = TypeAdapter(_Index)


class TraceFile:
    """An `episode_trace*.jsonl`, indexed by episode id.

    The index is kept beside the file and made anew when the file has changed, so that opening one
    episode of many thousands reads the index and one line.

    Args:
        path: The file, or a run directory that holds `episode_trace.jsonl`.

    Raises:
        DataError: There is no such file, or a line has no episode id.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / "episode_trace.jsonl" if path.is_dir() else path
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file of traces")
        self._places = self._read_index() or self._make_index()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        """Yield the episode ids in the file's order."""
        return iter(self._places)

    def __contains__(self, episode_id: str) -> bool:
        return episode_id in self._places

    def __getitem__(self, episode_id: str) -> Trace:
        """Return one episode's trace; the last one where the file has several.

        Raises:
            DataError: No episode has this id, or its line cannot be read.
        """
        if episode_id not in self._places:
            near = next(iter(self._places), None)
            raise DataError(
                f"{self.path}: no episode {episode_id!r} among {len(self)}"
                + (f"; the first is {near!r}" if near else "")
            )
        line = self._line(episode_id)
        if json.dumps(episode_id, ensure_ascii=False).encode() not in line:
            self._places = self._make_index()  # what was read of it is not of this file
            line = self._line(episode_id)
        return decode(Trace, line, where=f"{self.path}: episode {episode_id!r}")

    def _line(self, episode_id: str) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self._places[episode_id])
            return file.readline()

    @property
    def _index_path(self) -> Path:
        return self.path.with_name(f".{self.path.name}.index")

    def _stamp(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_size, status.st_mtime_ns

    def _read_index(self) -> dict[str, int] | None:
        try:
            index = _INDEX.validate_json(self._index_path.read_bytes())
        except (OSError, ValidationError):
            return None
        return index.places if index.stamp == self._stamp() else None

    def _make_index(self) -> dict[str, int]:
        stamp = self._stamp()
        places, problem = self._read_ids()
        if problem is not None and not places:
            raise problem
        partial = self._index_path.with_name(self._index_path.name + ".partial")
        with suppress(OSError):  # a folder that cannot be written to: it is made anew next time
            partial.write_bytes(_INDEX.dump_json(_Index(stamp, places)))
            partial.replace(self._index_path)
        return places

    def _read_ids(self) -> tuple[dict[str, int], DataError | None]:
        """Where each episode's line begins, the last one of several; the first bad line's error."""
        places: dict[str, int] = {}
        problem: DataError | None = None
        for line in read_lines(self.path):
            try:
                places[record_id(line.text, f"{self.path}:{line.number}")] = line.offset
            except DataError as error:
                problem = problem or error
        return places, problem
