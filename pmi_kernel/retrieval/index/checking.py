"""What an index holds, looked at closely: every passage read, every file hashed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pmi_kernel.core import progress
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.retrieval.index.passages import Corpus, Digest
from pmi_kernel.retrieval.index.store import (
    COMMITS,
    FILES,
    META,
    Index,
    Meta,
    folder_of,
    hashed,
    meta_of,
    names,
    open_index,
)


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
        folder = folder_of(name)
        num_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        try:
            if folder.name == name:
                meta = meta_of(folder)
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
    meta = META.read(folder_of(name))
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
        found.problems += _changed(folder_of(name) / FILES, meta)
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
