"""Entries of a vector store: text and vector by number, each change on disk whole or not at all."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from pmi_kernel.core.errors import DataError

Vectors = Float32[np.ndarray, "entries dimension"]
Ids = Int64[np.ndarray, " entries"]

_FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS removed (id INTEGER PRIMARY KEY);
"""
_AMONG = "IN (SELECT value FROM json_each(?))"
_TOGETHER = 20_000


class Entries:
    """Texts and vectors in an SQLite file; numbers rise from 1 and are never given twice.

    What was added or removed is on disk when the call returns, and a process that is killed loses
    none of it. Not safe for threads; `SemanticMemory` takes turns.

    Args:
        path: The file; None: in memory alone.
        dimension: Numbers of a vector.
        source: What made the vectors; a store has one.

    Raises:
        DataError: The file is no such store, is damaged, or has other vectors.
    """

    def __init__(self, path: Path | None, dimension: int, source: str) -> None:
        self._path, self.dimension = path, dimension
        with self._plainly():
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False)
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.executescript(_TABLES)
                self._check({"format": str(_FORMAT), "dimension": str(dimension), "source": source})
                self._count = self._number("SELECT count(*) FROM entries")
            except BaseException:
                self._db.close()
                raise

    def __len__(self) -> int:
        return self._count

    @property
    def last_id(self) -> int:
        """The largest number ever given; 0 where there was none."""
        return self._number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")

    def add(self, texts: Sequence[str], vectors: Vectors) -> Ids:
        """Add entries, all or none, and return their numbers."""
        first = self.last_id + 1
        ids = np.arange(first, first + len(texts), dtype=np.int64)
        rows = zip(ids.tolist(), texts, (one.tobytes() for one in vectors), strict=True)
        with self._plainly(), self._db:
            self._db.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        self._count += len(ids)
        return ids

    def remove(self, ids: Ids) -> Ids:
        """Remove those of some entries that there are, all or none, and return their numbers."""
        told = json.dumps(ids.tolist())
        with self._plainly(), self._db:
            rows = self._db.execute(f"SELECT id FROM entries WHERE id {_AMONG}", [told])
            there = [number for (number,) in rows]
            told = json.dumps(there)
            self._db.execute(f"DELETE FROM entries WHERE id {_AMONG}", [told])
            self._db.execute("INSERT OR IGNORE INTO removed SELECT value FROM json_each(?)", [told])
        self._count -= len(there)
        return np.array(there, dtype=np.int64)

    def clear(self) -> None:
        """Remove all entries."""
        with self._plainly(), self._db:
            self._db.execute("INSERT OR IGNORE INTO removed SELECT id FROM entries")
            self._db.execute("DELETE FROM entries")
        self._count = 0

    def texts(self, ids: Ids) -> dict[int, str]:
        """Return the texts of those of some entries that there are, by number."""
        told = json.dumps(ids.tolist())
        with self._plainly():
            found = self._db.execute(f"SELECT id, text FROM entries WHERE id {_AMONG}", [told])
            return dict(found.fetchall())

    def vectors(self, ids: Ids) -> tuple[Ids, Vectors]:
        """Return the vectors of those of some entries that there are, and their numbers."""
        told = json.dumps(ids.tolist())
        with self._plainly():
            found = self._db.execute(f"SELECT id, vector FROM entries WHERE id {_AMONG}", [told])
            return self._read(found.fetchall())

    def after(self, number: int) -> Iterator[tuple[Ids, Vectors]]:
        """Yield numbers and vectors of all entries with a larger number, some at a time."""
        while True:
            with self._plainly():
                found = self._db.execute(
                    "SELECT id, vector FROM entries WHERE id > ? ORDER BY id LIMIT ?",
                    [number, _TOGETHER],
                )
                ids, vectors = self._read(found.fetchall())
            if not len(ids):
                return
            yield ids, vectors
            number = int(ids[-1])

    def removed(self) -> Ids:
        """Return what was removed since `forget_removed`."""
        with self._plainly():
            rows = self._db.execute("SELECT id FROM removed").fetchall()
        return np.array([number for (number,) in rows], dtype=np.int64)

    def forget_removed(self) -> None:
        """Remember no more what was removed so far."""
        with self._plainly(), self._db:
            self._db.execute("DELETE FROM removed")

    def copy(self, path: Path) -> None:
        """Write a copy as it is now into a file that is new or empty."""
        with self._plainly():
            other = sqlite3.connect(path)
            try:
                self._db.backup(other)
            finally:
                other.close()

    def close(self) -> None:
        """Close the file; the entries cannot be used after that."""
        self._db.close()

    # -- the parts ----------------------------------------------------------------------------

    def _read(self, rows: Sequence[tuple[int, bytes]]) -> tuple[Ids, Vectors]:
        size = 4 * self.dimension
        if torn := [number for number, blob in rows if len(blob) != size]:
            raise DataError(
                f"{self._named()}: entry {torn[0]} has no vector of {self.dimension} numbers; "
                "put a copy back, or remove it"
            )
        ids = np.array([number for number, _ in rows], dtype=np.int64)
        whole = np.frombuffer(b"".join(blob for _, blob in rows), dtype=np.float32)
        return ids, whole.reshape(len(rows), self.dimension)

    def _check(self, facts: dict[str, str]) -> None:
        known = dict(self._db.execute("SELECT name, value FROM facts"))
        if not known:
            with self._db:
                self._db.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        elif wrong := [name for name in facts if known.get(name) != facts[name]]:
            name = wrong[0]
            raise DataError(
                f"{self._named()} has {name} {known.get(name)!r}, not {facts[name]!r}; take "
                "another folder, or what it was made with"
            )

    def _number(self, query: str) -> int:
        with self._plainly():
            return int(self._db.execute(query).fetchone()[0])

    def _named(self) -> str:
        return str(self._path) if self._path else "the store"

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Say in one line what SQLite finds wrong."""
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(f"{self._named()} cannot be used ({error})") from None


def settle(path: Path) -> None:
    """Move what stands beside a file of entries into it, so that the file can be replaced.

    Raises:
        DataError: It is damaged.
    """
    if path.exists():
        try:
            db = sqlite3.connect(path)
            try:
                db.execute("PRAGMA journal_mode = DELETE")
            finally:
                db.close()
        except sqlite3.Error as error:
            raise DataError(f"{path} cannot be used ({error})") from None
