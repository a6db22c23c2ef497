"""A run's traces as a book: any episode is opened by its id, without reading the others."""

import json
from collections.abc import Iterator
from pathlib import Path

from pmi_kernel.errors import DataError
from pmi_kernel.records import decode, line_places
from pmi_kernel.types import Trace


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
        with self.path.open("rb") as file:
            file.seek(self._places[episode_id])
            line = file.readline().decode()
        return decode(Trace, line, where=f"{self.path}: episode {episode_id!r}")

    @property
    def _index_path(self) -> Path:
        return self.path.with_name(f".{self.path.name}.index")

    def _stamp(self) -> list[int]:
        status = self.path.stat()
        return [status.st_size, status.st_mtime_ns]

    def _read_index(self) -> dict[str, int] | None:
        try:
            index = json.loads(self._index_path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return None
        return index["places"] if index["stamp"] == self._stamp() else None

    def _make_index(self) -> dict[str, int]:
        stamp = self._stamp()
        places = line_places(self.path)
        partial = self._index_path.with_name(self._index_path.name + ".partial")
        try:
            partial.write_text(json.dumps({"stamp": stamp, "places": places}), encoding="utf-8")
            partial.replace(self._index_path)
        except OSError:
            pass  # a folder that cannot be written to: the index is made anew next time
        return places
