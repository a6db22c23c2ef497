"""Where indexes are, by their names, and what each keeps about itself.

An index is a folder `index/NAME` in the cache. While it is built it is `index/NAME.partial`; it
gets its name once all of its corpus is in it.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pmi_kernel.core import progress
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import Kept, plainly
from pmi_kernel.core.places import cache_dir
from pmi_kernel.core.text import shown
from pmi_kernel.retrieval.index.backend import Backend, Hit

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
"""What an index may be called: nothing that leads out of its folder."""

_PARTIAL = ".partial"
_AGAIN = "drop it (pmi index drop) and build it again"


class Made(TypedDict):
    """What decides what a search finds, beside the corpus."""

    kind: str
    backend: str
    url: str
    analysis: str
    k1: float
    b: float


class Commits(TypedDict):
    """How far a build is: passages and their digest at each commit, written before it."""

    made: Made
    marks: list[tuple[int, str]]


class Meta(TypedDict):
    """What a whole index is of: the corpus's files by sha256, its passages, and its own files."""

    made: Made
    corpus: dict[str, str]
    num_passages: int
    digest: str
    files: dict[str, tuple[int, str]]
    versions: dict[str, str]


COMMITS = Kept("commits.json", TypeAdapter(Commits), _AGAIN)
META = Kept("meta.json", TypeAdapter(Meta), _AGAIN)
FILES = "tantivy"
"""Folder of the index proper."""


def root() -> Path:
    """Return the folder of all indexes."""
    return cache_dir() / "index"


def place(name: str, *, is_whole: bool) -> Path:
    """Return the folder of an index, which need not be there.

    Raises:
        ConfigError: It is no name, and so might lead out of the folder of indexes.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"{shown(name)} is no name of an index: letters, digits, _ and -, at most 64"
        )
    return root() / (name if is_whole else f"{name}{_PARTIAL}")


def locked(name: str) -> FileLock:
    """Return the lock of whoever changes an index, taken.

    Raises:
        ConfigError: Somebody else has it.
    """
    with plainly(root()):
        root().mkdir(parents=True, exist_ok=True)
        lock = FileLock(root() / f".{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"the index {name} is being built by another process") from None
    return lock


def backend_of(made: Made, folder: Path, name: str, *, min_free_bytes: int = 0) -> Backend:
    """Return what holds an index.

    Raises:
        ConfigError: It cannot be read, or reached.
    """
    if made["backend"] == "elasticsearch":
        from pmi_kernel.retrieval.index.elastic import Elastic

        return Elastic(made["url"], name, k1=made["k1"], b=made["b"], min_free_bytes=min_free_bytes)
    from pmi_kernel.retrieval.index.on_disk import OnDisk

    return OnDisk(folder / FILES, min_free_bytes=min_free_bytes)


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is open to be searched.

    Attributes:
        name: What it is called.
        made: How it was built.
        num_passages: Passages in it.
        digest: Of these.
        is_whole: Whether all of its corpus is in it.
        backend: What holds it.
    """

    name: str
    made: Made
    num_passages: int
    digest: str
    is_whole: bool
    backend: Backend

    @property
    def sha256(self) -> str:
        """Hash of all that decides what a search finds: the passages, their analysis, BM25."""
        decides = {key: value for key, value in self.made.items() if key != "url"}
        told = json.dumps([decides, self.num_passages, self.digest, self.is_whole], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    def search(self, query: str, k: int) -> list[Hit]:
        """Return the k best passages, best first; of equal ones the earlier in the corpus."""
        return self.backend.search(query, k)


def open_index(name: str, *, is_incomplete_allowed: bool = False) -> Index:
    """Return an index, ready to be searched.

    Args:
        name: What it is called.
        is_incomplete_allowed: Whether one that lacks passages will do.

    Raises:
        ConfigError: There is none of that name, it is not whole, or it is damaged.
    """
    folder = folder_of(name)
    if folder.name == name:
        meta = meta_of(folder)
        backend = backend_of(meta["made"], folder, name)
        if (wrong := _misfits(folder, meta, backend.count())) and not is_incomplete_allowed:
            raise ConfigError(
                f"the index {name} is not whole: {wrong}; {_AGAIN}, or search it as it is with "
                "--allow_incomplete"
            )
        return Index(name, meta["made"], backend.count(), meta["digest"], not wrong, backend)
    if (commits := COMMITS.read(folder)) is None:
        raise ConfigError(f"{folder} is no index: it has no {COMMITS.name}; {_AGAIN}")
    backend = backend_of(commits["made"], folder, name)
    count = backend.count()
    if not is_incomplete_allowed:
        raise ConfigError(
            f"the index {name} is not whole: it was being built, {count:,} passages are in it; go "
            "on with the command that began it, or search it as it is with --allow_incomplete"
        )
    digest = [digest for num, digest in commits["marks"] if num <= count][-1]
    return Index(name, commits["made"], count, digest, False, backend)


def folder_of(name: str) -> Path:
    """Return the folder of an index that is there, whole or partial.

    Raises:
        ConfigError: There is none of that name.
    """
    for is_whole in (True, False):
        if (folder := place(name, is_whole=is_whole)).is_dir():
            return folder
    there = ", ".join(names()) or "none"
    raise ConfigError(
        f"there is no index {shown(name)} in {root()} (there: {there}); build one with "
        f"`pmi index build --corpus FILE --name {name}`"
    )


def meta_of(folder: Path) -> Meta:
    """Return what a whole index keeps about itself.

    Raises:
        ConfigError: It is not there, or damaged.
    """
    meta = META.read(folder)
    if meta is None:
        raise ConfigError(f"{folder} is no index: it has no {META.name}; {_AGAIN}")
    return meta


def _misfits(folder: Path, meta: Meta, num_found: int) -> str:
    """What says at a glance that an index is not as it was when it was whole; else nothing."""
    if num_found != meta["num_passages"]:
        return f"{num_found:,} of {meta['num_passages']:,} passages can be searched"
    for name, (size, _) in meta["files"].items():
        path = folder / FILES / name
        if not path.is_file() or path.stat().st_size != size:
            return f"its file {name} is not the one that was written"
    return ""


def names() -> list[str]:
    """Return the names of the indexes that are there, whole or not."""
    if not root().is_dir():
        return []
    folders = (path.name for path in root().iterdir() if path.is_dir())
    found = {name.removesuffix(_PARTIAL) for name in folders}
    return sorted(name for name in found if re.fullmatch(NAME, name))


def drop(name: str) -> None:
    """Delete an index, whole or not.

    Raises:
        ConfigError: There is none of that name, or it is being built.
    """
    folder_of(name)
    with locked(name):
        for is_whole in (True, False):
            folder = place(name, is_whole=is_whole)
            if folder.is_dir():
                known = META.read(folder) or COMMITS.read(folder)
                with plainly(folder):
                    if known is not None:
                        backend_of(known["made"], folder, name).drop()
                    shutil.rmtree(folder)


def hashed(path: Path, watch: Callable[[], object] = progress.check) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with plainly(path), path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            watch()
    return digest.hexdigest()
