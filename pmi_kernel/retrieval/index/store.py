"""Where indexes are, by their names, and what each keeps about itself.

An index is a folder `index/NAME` in the cache. While it is built it is `index/NAME.partial`; it
gets its name once all of its corpus is in it.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
from pmi_kernel.retrieval.index.passages import Corpus, Digest

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
        told = json.dumps([decides, self.num_passages, self.digest], sort_keys=True)
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
    folder = _folder(name)
    if folder.name == name:
        meta = _meta(folder)
        backend = backend_of(meta["made"], folder, name)
        if (wrong := _misfits(folder, meta, backend.count())) and not is_incomplete_allowed:
            raise ConfigError(
                f"the index {name} is not whole: {wrong}; {_AGAIN}, or search it as it is with "
                "--allow_incomplete"
            )
        return Index(name, meta["made"], backend.count(), meta["digest"], not wrong, backend)
    commits = COMMITS.read(folder)
    num, digest = commits["marks"][-1] if commits else (0, "")
    if commits is None or not is_incomplete_allowed:
        raise ConfigError(
            f"the index {name} is not whole: it was being built, {num:,} passages are in it; go on "
            "with the command that began it, or search it as it is with --allow_incomplete"
        )
    backend = backend_of(commits["made"], folder, name)
    return Index(name, commits["made"], backend.count(), digest, False, backend)


def _folder(name: str) -> Path:
    """The folder of an index that is there, whole or partial."""
    for is_whole in (True, False):
        if (folder := place(name, is_whole=is_whole)).is_dir():
            return folder
    there = ", ".join(names()) or "none"
    raise ConfigError(
        f"there is no index {shown(name)} in {root()} (there: {there}); build one with "
        f"`pmi index build --corpus FILE --name {name}`"
    )


def _meta(folder: Path) -> Meta:
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
    _folder(name)
    with locked(name):
        for is_whole in (True, False):
            folder = place(name, is_whole=is_whole)
            if folder.is_dir():
                known = META.read(folder) or COMMITS.read(folder)
                with plainly(folder):
                    if known is not None:
                        backend_of(known["made"], folder, name).drop()
                    shutil.rmtree(folder)


# -- what is found when it is looked at closely -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """An index as a list shows it; `num_bytes` is 0 where it is on a server."""

    name: str
    is_whole: bool
    backend: str
    num_passages: int
    num_bytes: int
    corpus: tuple[str, ...] = ()
    problem: str = ""


def listed() -> Iterator[Listed]:
    """Yield what is known of every index without searching it."""
    for name in names():
        folder = _folder(name)
        num_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        try:
            if folder.name == name:
                meta = _meta(folder)
                made, num, files = meta["made"], meta["num_passages"], tuple(meta["corpus"])
                yield Listed(name, True, made["backend"], num, num_bytes, files)
            else:
                commits = COMMITS.read(folder)
                num = commits["marks"][-1][0] if commits else 0
                held = commits["made"]["backend"] if commits else "disk"
                yield Listed(name, False, held, num, num_bytes)
        except ConfigError as error:
            yield Listed(name, False, "", 0, num_bytes, problem=str(error))


@dataclass
class Checked:
    """What a check found.

    Attributes:
        name: Of the index.
        sha256: Of the index; see `Index.sha256`.
        num_passages: Passages that its corpus has; None where that is not known yet.
        num_found: Passages that can be searched.
        corpus: Its files' sha256, by their names.
        problems: What is wrong, a line each.
    """

    name: str
    sha256: str
    num_passages: int | None
    num_found: int
    corpus: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def check(name: str, corpus: Corpus | None = None) -> Checked:
    """Return whether an index is whole: every passage of it is read, and every file hashed.

    Args:
        name: The index.
        corpus: Read as well, and held against it; None: what was recorded of it when it was built.

    Raises:
        ConfigError: There is none of that name, or what it keeps about itself is damaged.
        DataError: The corpus cannot be read.
    """
    index = open_index(name, is_incomplete_allowed=True)
    meta = META.read(_folder(name))
    found = Checked(name, index.sha256, None, index.backend.count())
    digest = _digest_of(index)
    if meta is None:
        found.problems.append("it was being built: go on with the command that began it")
    else:
        found.num_passages, found.corpus = meta["num_passages"], meta["corpus"]
        if {found.num_found, digest.num} != {meta["num_passages"]}:
            told = f"{found.num_found:,} of {meta['num_passages']:,} passages can be searched"
            found.problems.append(f"{told}, and {digest.num:,} read")
        elif digest.hex != meta["digest"]:
            found.problems.append("the passages in it are not those of the corpus")
        found.problems += _changed(_folder(name) / FILES, meta)
    if corpus is not None:
        own = Digest()
        for row, passage in enumerate(corpus):
            own.add(row, passage)
        if (own.num, own.hex) != (digest.num, digest.hex):
            found.problems.append(f"it is not of the corpus given, which has {own.num:,} passages")
    return found


def _digest_of(index: Index) -> Digest:
    digest = Digest()
    for row, passage in index.backend.passages():
        digest.add(row, passage)
        if digest.num % 1000 == 0:
            progress.at("checking", digest.num, index.num_passages)
    return digest


def _changed(folder: Path, meta: Meta) -> Iterator[str]:
    for name, (_, sha256) in meta["files"].items():
        path = folder / name
        if not path.is_file() or hashed(path) != sha256:
            yield f"the file {name} is not the one that was written"


def hashed(path: Path, watch: Callable[[], object] = progress.check) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with plainly(path), path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            watch()
    return digest.hexdigest()
