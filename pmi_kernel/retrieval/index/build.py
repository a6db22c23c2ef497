"""Building an index from a corpus: streamed, and killed at any moment gone on with.

Passages are taken in order and committed every so many. Before each commit the build notes how many
passages will be in it, and their digest; a commit is whole or not there at all. So after a kill the
index itself says how many passages it has, the note says which, and the corpus is read again from
its beginning: what is in the index is only hashed, to see that it is the same, and what follows is
added.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pmi_kernel.core import progress
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.provenance import package_versions
from pmi_kernel.retrieval.index.backend import Backend, Writes
from pmi_kernel.retrieval.index.passages import Corpus, Digest
from pmi_kernel.retrieval.index.settings import IndexSettings
from pmi_kernel.retrieval.index.store import (
    COMMITS,
    FILES,
    META,
    Commits,
    Index,
    Made,
    Meta,
    backend_of,
    hashed,
    locked,
    open_index,
    place,
)

_SHARE_OF_TEXT = 1.2
"""Bytes of an index for each byte of text, while it is merged too."""
_TOLD_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Built:
    """How far a build is.

    Attributes:
        num_passages: Passages of the corpus that were read.
        num_before: Of these, those that were in the index before this call.
        read_bytes: Bytes of the corpus's files that were read.
        total_bytes: All of them.
        spent_s: Seconds since the first passage was added.
    """

    num_passages: int
    num_before: int
    read_bytes: int
    total_bytes: int
    spent_s: float

    @property
    def per_s(self) -> float:
        """Passages added a second."""
        return max(0, self.num_passages - self.num_before) / max(self.spent_s, 1e-9)


def build(
    settings: IndexSettings,
    files: Sequence[Path],
    *,
    on_progress: Callable[[Built], object] = lambda built: None,
) -> Index:
    """Return the index of a corpus, built now, gone on with, or whole already.

    Args:
        settings: Its name, and how it is built.
        files: The corpus's files, in order.
        on_progress: Told now and then how far it is.

    Raises:
        DataError: The corpus cannot be read; what was committed stays.
        ConfigError: Another index has that name, the corpus is not the one that the build began
            with, the disk is full, or somebody else builds it. What was committed stays.
        Stopped: A stop was asked for; the same call goes on.
    """
    corpus = Corpus(files)
    with locked(settings.name):
        if place(settings.name, is_whole=True).is_dir():
            return _same(settings, corpus)
        return _Build(settings, corpus, on_progress).run()


def made_of(settings: IndexSettings) -> Made:
    """Return what decides what a search of the index finds, beside the corpus."""
    from pmi_kernel.retrieval.index import elastic, on_disk

    analysis = on_disk.ANALYSIS if settings.backend == "disk" else elastic.ANALYSIS
    return {
        "kind": "index",
        "backend": settings.backend,
        "url": settings.url,
        "analysis": analysis,
        "k1": settings.k1,
        "b": settings.b,
    }


def _same(settings: IndexSettings, corpus: Corpus) -> Index:
    """The index that is there, if it is of the same corpus."""
    index = open_index(settings.name)
    meta = META.read(place(settings.name, is_whole=True))
    assert meta is not None
    is_same_corpus = [*meta["corpus"].values()] == [hashed(path) for path in corpus.files]
    if not is_same_corpus or index.made != made_of(settings):
        what = "settings" if is_same_corpus else "corpus"
        raise ConfigError(
            f"there is an index {settings.name} of another {what}; drop it with "
            f"`pmi index drop --name {settings.name}`, or name this one otherwise"
        )
    return index


class _Build:
    def __init__(
        self, settings: IndexSettings, corpus: Corpus, on_progress: Callable[[Built], object]
    ) -> None:
        self._settings, self._corpus, self._tell = settings, corpus, on_progress
        self._folder = place(settings.name, is_whole=False)
        self._made = made_of(settings)
        with plainly(self._folder):
            self._folder.mkdir(exist_ok=True)
        self._commits: Commits = COMMITS.read(self._folder) or {
            "made": self._made,
            "marks": [(0, Digest().hex)],
        }
        if self._commits["made"] != self._made:
            raise ConfigError(
                f"the index {settings.name} was begun with other settings "
                f"({self._commits['made']}); use them, or drop it with "
                f"`pmi index drop --name {settings.name}`"
            )
        with plainly(self._folder):
            COMMITS.write(self._folder, self._commits)
        self._backend: Backend = backend_of(
            self._made,
            self._folder,
            settings.name,
            min_free_bytes=int(settings.min_free_gb * 1e9),
        )

    def run(self) -> Index:
        num_done, known = self._done()
        left = 0 if num_done else self._corpus.num_unpacked_bytes  # else it is not known
        self._backend.check_room(int(left * _SHARE_OF_TEXT))
        writer = self._backend.writer(num_done)
        try:
            digest = self._add(writer, num_done, known)
        except BaseException:
            with suppress(ConfigError):  # whatever is wrong was said already
                writer.close()
            raise
        writer.close()
        return self._finish(digest)

    def _add(self, writer: Writes, num_done: int, known: str) -> Digest:
        """Add what is not in the index yet, and return the digest of all."""
        digest, start = Digest(), time.perf_counter()
        for row, passage in enumerate(self._corpus):
            if row == num_done:
                self._check_known(digest, known)
                start = time.perf_counter()
            digest.add(row, passage)
            if row >= num_done:
                writer.add(row, passage)
                if digest.num % self._settings.commit_every == 0:
                    self._commit(writer, digest)
                    self._backend.check_room(0)
            if digest.num % _TOLD_EVERY == 0:
                self._told(digest.num, num_done, time.perf_counter() - start)
        if digest.num <= num_done:
            self._check_known(digest, known)
        self._commit(writer, digest)
        self._told(digest.num, num_done, time.perf_counter() - start)
        return digest

    def _done(self) -> tuple[int, str]:
        """How many passages are in the index for good, and their digest."""
        count = self._backend.count()
        marks = [(num, digest) for num, digest in self._commits["marks"] if num <= count]
        num, digest = marks[-1]
        if num != count and self._settings.backend == "disk":
            raise ConfigError(
                f"{self._folder} holds {count:,} passages, and no note of which; drop it with "
                f"`pmi index drop --name {self._settings.name}` and build it anew"
            )
        return num, digest

    def _check_known(self, digest: Digest, known: str) -> None:
        if digest.hex != known:
            raise ConfigError(
                f"the index {self._settings.name} was begun with another corpus: its passages are "
                f"not the first of {', '.join(map(str, self._corpus.files))}; go on with the same "
                f"files, or drop it with `pmi index drop --name {self._settings.name}`"
            )

    def _commit(self, writer: Writes, digest: Digest) -> None:
        marks = [mark for mark in self._commits["marks"] if mark[0] < digest.num]
        self._commits["marks"] = [*marks, (digest.num, digest.hex)]
        with plainly(self._folder):
            COMMITS.write(self._folder, self._commits)
        writer.commit()

    def _told(self, num: int, num_before: int, spent_s: float) -> None:
        corpus = self._corpus
        self._tell(Built(num, num_before, corpus.read_bytes, corpus.num_bytes, spent_s))
        progress.at("indexing", corpus.read_bytes, corpus.num_bytes)

    def _finish(self, digest: Digest) -> Index:
        count = self._backend.count()
        if count != digest.num:
            raise ConfigError(
                f"the index {self._settings.name} has {count:,} of {digest.num:,} passages; drop "
                f"it with `pmi index drop --name {self._settings.name}` and build it anew"
            )
        own = self._folder / FILES
        paths = sorted(path for path in own.glob("[!.]*") if path.is_file())
        meta: Meta = {
            "made": self._made,
            "corpus": {str(path): self._corpus.sha256[str(path)] for path in self._corpus.files},
            "num_passages": digest.num,
            "digest": digest.hex,
            "files": {path.name: (path.stat().st_size, hashed(path)) for path in paths},
            "versions": {**package_versions(), **_version_of("tantivy")},
        }
        whole = place(self._settings.name, is_whole=True)
        with plainly(self._folder):
            META.write(self._folder, meta)
            self._folder.rename(whole)
        return open_index(self._settings.name)


def _version_of(package: str) -> dict[str, str]:
    try:
        return {package: version(package)}
    except PackageNotFoundError:
        return {package: "absent"}
