"""Everything that was ever told, by vector: SQLite keeps texts and vectors, FAISS finds them.

FAISS (Douze et al. 2024, arXiv:2401.08281) holds what can be made again: flat at first, and from
enough entries on an inverted file of product-quantised codes, whose candidates are compared by
their own vectors (as in its IndexRefineFlat, which cannot remove).
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from threading import RLock
from typing import Any

import faiss
import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import Kept, plainly
from pmi_kernel.systems.hmst.memory.entries import Entries, Ids, Vectors, settle

log = logging.getLogger(__name__)

_ENTRIES, _LOCK = "entries.sqlite", "lock"
_CODE_BITS = 8


@dataclass(frozen=True, slots=True)
class Indexing:
    """When vectors are compressed, and how they are searched then.

    Attributes:
        train_after: Entries from which on an inverted file is trained on all that there are.
        num_lists: Of it; 0: four times the square root of `train_after`.
        num_probes: Lists that a search looks into.
        code_bytes: Of a vector; 0: an eighth of its numbers, or fewer where that divides them not.
        candidates: Times as many as are asked for are compared by their own vectors.
    """

    train_after: int = 10_000
    num_lists: int = 0
    num_probes: int = 24
    code_bytes: int = 0
    candidates: int = 16


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that was found.

    Attributes:
        id: Its number.
        text: What was told.
        score: Cosine of its vector and the one searched for, in [-1, 1].
    """

    id: int
    text: str
    score: float


class _Snapshot(TypedDict):
    """The index on disk: its file, its hash, and the largest number that it has seen."""

    file: str
    sha256: str
    last_id: int


SNAPSHOT = Kept("index.json", TypeAdapter(_Snapshot), "delete it; the index is made again")


class SemanticMemory:
    """Texts by vector; threads may share it, processes take turns.

    What is added or removed is on disk at once; the index is written by `save`, and what it lacks
    or has too much when it is opened is made good from the entries.

    Args:
        dimension: Numbers of a vector.
        path: Folder on disk, made where there is none; None: in memory alone.
        source: What makes the vectors, such as a model's hash; a store has one.
        indexing: How it is searched.

    Raises:
        DataError: The folder holds a damaged store, or one of other vectors.
        ConfigError: Another process has it open, or the sizes do not fit each other.
    """

    def __init__(
        self,
        dimension: int = 1024,
        path: Path | None = None,
        *,
        source: str = "",
        indexing: Indexing | None = None,
    ) -> None:
        self.dimension, self._path = dimension, path
        self._how = indexing or Indexing()
        _shape(dimension, self._how)
        self._turn = RLock()
        with ExitStack() as opened:
            if path is not None:
                opened.enter_context(_owned(path))
            self._entries = Entries(path and path / _ENTRIES, dimension, source)
            opened.callback(self._entries.close)
            self._index = self._opened()
            self._held = opened.pop_all()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_compressed(self) -> bool:
        """Whether it is an inverted file by now."""
        return not isinstance(self._index, faiss.IndexIDMap2)

    def add(
        self, texts: Sequence[str], vectors: Float[np.ndarray, "entries dimension"]
    ) -> list[int]:
        """Add entries, all or none, and return their numbers, which are never given twice.

        Raises:
            ValueError: There is not one vector of the right size a text, or one is zero or not
                finite.
            DataError: They cannot be written.
        """
        unit = self._unit(vectors, len(texts))
        if not len(unit):
            return []
        with self._turn:
            ids = self._entries.add(texts, unit)
            self._index.add_with_ids(unit, ids)
            if not self.is_compressed and len(self) >= self._how.train_after:
                self._index = self._made()
            return [int(one) for one in ids]

    def remove_ids(self, ids: Sequence[int]) -> int:
        """Remove entries, all or none, and return how many of them there were.

        Raises:
            DataError: It cannot be written.
        """
        with self._turn:
            gone = self._entries.remove(np.array(ids, dtype=np.int64))
            self._drop(self._index, gone)
            return len(gone)

    def search(self, vectors: Float[np.ndarray, "queries dimension"], k: int) -> list[list[Hit]]:
        """Return the k nearest entries of each vector, the nearest first; fewer if there are fewer.

        Raises:
            ValueError: A vector is of another size, zero or not finite, or k is not positive.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        unit = self._unit(vectors, None)
        with self._turn:
            most = min(len(self), k * (self._how.candidates if self.is_compressed else 1))
            if not most or not len(unit):
                return [[] for _ in unit]
            _, found = self._index.search(unit, most)
            return [
                self._hits(query, ids[ids >= 0], k) for query, ids in zip(unit, found, strict=True)
            ]

    def save(self, path: Path | None = None) -> None:
        """Write the index, or all of it to another folder, which holds the old or the new store.

        Raises:
            ConfigError: Another process has the folder open.
        """
        with self._turn:
            if path is None or path == self._path:
                if self._path is None:
                    raise ValueError("this store is in memory; name a folder")
                self._write_index(self._path)
                self._entries.forget_removed()
                return
            with _owned(path), plainly(path):
                self._write_all(path)

    def clear(self) -> None:
        """Remove every entry."""
        with self._turn:
            self._entries.clear()
            self._index = self._empty()

    def rebuild(self) -> None:
        """Make the index anew: trained on what is there now."""
        with self._turn:
            self._index = self._made()

    def close(self) -> None:
        """Let other processes have it; it cannot be used after that."""
        with self._turn:
            self._held.close()

    def __enter__(self) -> "SemanticMemory":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- vectors --------------------------------------------------------------------------------

    def _unit(self, vectors: Float[np.ndarray, "entries dimension"], count: int | None) -> Vectors:
        """Vectors of length one."""
        given = np.asarray(vectors, dtype=np.float32)
        if given.ndim != 2 or given.shape[1] != self.dimension:
            raise ValueError(f"vectors have shape {given.shape}; expected (any, {self.dimension})")
        if count is not None and len(given) != count:
            raise ValueError(f"{len(given)} vectors for {count} texts")
        norms = np.linalg.norm(given, axis=1, keepdims=True)
        if wrong := np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 0))).tolist():
            raise ValueError(f"vector {wrong[0]} is zero or not finite")
        return np.ascontiguousarray(given / norms)

    def _hits(self, query: np.ndarray, ids: Ids, k: int) -> list[Hit]:
        """The best of some candidates by their own vectors."""
        there, vectors = self._entries.vectors(ids)
        scores = vectors @ query
        best = np.lexsort((there, -scores))[:k]
        texts = self._entries.texts(there[best])
        return [Hit(int(there[at]), texts[int(there[at])], float(scores[at])) for at in best]

    # -- the index ------------------------------------------------------------------------------

    def _empty(self) -> Any:
        return faiss.IndexIDMap2(faiss.IndexFlatIP(self.dimension))

    def _made(self) -> Any:
        """The index of all entries, made anew."""
        index = self._empty()
        if len(self) >= self._how.train_after:
            index = self._trained()
        for ids, vectors in self._entries.after(0):
            index.add_with_ids(vectors, ids)
        return index

    def _trained(self) -> Any:
        """An empty inverted file, trained on the first entries."""
        num_lists, code_bytes = _shape(self.dimension, self._how)
        parts, rows = [], 0
        for _, vectors in self._entries.after(0):
            parts.append(vectors[: self._how.train_after - rows])
            rows += len(parts[-1])
            if rows == self._how.train_after:
                break
        quantizer = faiss.IndexFlatIP(self.dimension)
        index = faiss.IndexIVFPQ(
            quantizer,
            self.dimension,
            num_lists,
            code_bytes,
            _CODE_BITS,
            faiss.METRIC_INNER_PRODUCT,
        )
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
        index.train(np.concatenate(parts))
        index.set_direct_map_type(faiss.DirectMap.Hashtable)  # type: ignore[attr-defined]
        index.nprobe = self._how.num_probes
        return index

    @staticmethod
    def _drop(index: Any, ids: Ids) -> None:
        if len(ids):
            # with a hash table of places FAISS takes no other selector
            index.remove_ids(faiss.IDSelectorArray(ids))

    def _opened(self) -> Any:
        """The index as it was written, brought up to date; made anew where it cannot be."""
        if self._path is not None and (snapshot := SNAPSHOT.read(self._path)) is not None:
            try:
                index = _read_index(self._path / snapshot["file"], snapshot["sha256"])
            except (OSError, RuntimeError, ValueError) as error:
                log.warning("%s: its index is made again (%s)", self._path, error)
                return self._made()
            self._drop(index, self._entries.removed())
            for ids, vectors in self._entries.after(snapshot["last_id"]):
                index.add_with_ids(vectors, ids)
            is_small = isinstance(index, faiss.IndexIDMap2)
            is_due = is_small and len(self) >= self._how.train_after
            if index.d == self.dimension and index.ntotal == len(self) and not is_due:
                if not is_small:
                    index.nprobe = self._how.num_probes
                return index
            if not is_due:
                log.warning(
                    "%s: its index has %d of %d entries and is made again",
                    self._path,
                    index.ntotal,
                    len(self),
                )
        return self._made()

    def _write_index(self, path: Path) -> None:
        last = self._entries.last_id
        data = faiss.serialize_index(self._index).tobytes()
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"index-{sha256[:16]}.faiss"
        partial = path / f"{name}.partial"
        with plainly(path):
            partial.write_bytes(data)
            partial.replace(path / name)
            SNAPSHOT.write(path, {"file": name, "sha256": sha256, "last_id": last})
            for other in path.glob("index-*.faiss*"):
                if other.name != name:
                    other.unlink()

    def _write_all(self, path: Path) -> None:
        partial = path / f"{_ENTRIES}.partial"
        partial.unlink(missing_ok=True)
        self._entries.copy(partial)
        settle(path / _ENTRIES)
        SNAPSHOT.at(path).unlink(missing_ok=True)  # it belongs to what was there
        partial.replace(path / _ENTRIES)
        self._write_index(path)


@contextmanager
def _owned(path: Path) -> Iterator[None]:
    """A folder, made where there is none, that no other process has meanwhile."""
    with plainly(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / _LOCK, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(f"{path} is open in another process") from None
    try:
        yield
    finally:
        lock.release()


def _shape(dimension: int, how: Indexing) -> tuple[int, int]:
    """Lists and bytes of a code.

    Raises:
        ConfigError: They do not fit.
    """
    num_lists = how.num_lists or min(how.train_after, 4 * isqrt(how.train_after))
    code_bytes = how.code_bytes or max(
        size for size in range(1, max(1, dimension // 8) + 1) if dimension % size == 0
    )
    if dimension % code_bytes:
        raise ConfigError(f"code_bytes {code_bytes} does not divide the dimension {dimension}")
    if not 1 <= num_lists <= how.train_after or how.train_after < 2**_CODE_BITS:
        raise ConfigError(
            f"train_after {how.train_after} is too few for {num_lists} lists and codes of "
            f"{2**_CODE_BITS} values"
        )
    return num_lists, code_bytes


def _read_index(path: Path, sha256: str) -> Any:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{path.name} was altered")
    return faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
