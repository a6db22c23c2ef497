"""The passages of a corpus: streamed from its files, one after another, and what proves them.

A corpus is DPR's table (`psgs_w100.tsv`: id, text, title) or JSON lines (`_id title text`), each
plain or gzipped, in one file or several, of any size.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.text import is_text, shown
from pmi_kernel.data.limits import DataLimits
from pmi_kernel.data.reading import DataFile

SUFFIXES = (".tsv", ".jsonl", ".tsv.gz", ".jsonl.gz")
_BOUNDLESS = 1 << 62
_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class CorpusPassage:
    """A passage of a corpus."""

    id: str
    title: str
    text: str


class Digest:
    """A hash of passages by their rows, whatever the order in which they are shown to it.

    It is the sum, modulo 2^256, of the sha256 of each row with its passage. So it is the same of
    what was read in order and of what is found in an index, where a passage that is missing, there
    twice or changed makes another.

    Args:
        value: What it begins with, as `hex` of another one.
        num: Passages that are in it.
    """

    def __init__(self, value: str = "0", num: int = 0) -> None:
        self._sum, self.num = int(value, 16), num

    def add(self, row: int, passage: CorpusPassage) -> None:
        """Add a passage and its row, from 0."""
        parts = (passage.id, passage.title, passage.text)
        told = f"{row}\0{len(passage.id)}\0{len(passage.title)}\0{''.join(parts)}"
        self._sum += int.from_bytes(hashlib.sha256(told.encode()).digest(), "big")
        self._sum %= _MODULUS
        self.num += 1

    @property
    def hex(self) -> str:
        """The hash as 64 hexadecimal digits."""
        return f"{self._sum:064x}"


class Corpus:
    """The passages of files, in order.

    Args:
        files: The files, in order; the order counts.

    Attributes:
        num_bytes: Size of the files together, as they lie there.
        read_bytes: How much of them was read so far.
        sha256: Of each file that was read to its end, by its path as given.

    Raises:
        DataError: A file is not there, or its name ends in none of `SUFFIXES`.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        for path in files:
            if not path.name.endswith(SUFFIXES):
                raise DataError(
                    f"{shown(str(path))}: a corpus is a {', '.join(SUFFIXES)} file: DPR's table "
                    "(id, text, title), or JSON lines (_id, title, text)"
                )
            if not path.is_file():
                raise DataError(f"{shown(str(path))}: no such file")
        self.num_bytes = sum(path.stat().st_size for path in files)
        self.read_bytes = 0
        self.sha256: dict[str, str] = {}

    @property
    def num_unpacked_bytes(self) -> int:
        """About the size of the files unpacked: gzipped text takes a third."""
        return sum(
            path.stat().st_size * (3 if path.name.endswith(".gz") else 1) for path in self.files
        )

    def __iter__(self) -> Iterator[CorpusPassage]:
        """Yield each passage.

        Raises:
            DataError: A record is no passage, or a file cannot be read: names file, record, field.
        """
        limits = DataLimits.from_environment().model_copy(
            update={"mb": _BOUNDLESS, "records": _BOUNDLESS}
        )
        self.read_bytes = 0
        for path in self.files:
            digest = hashlib.sha256()
            for raw in DataFile(path, limits).records(watch=self._watch(digest.update)):
                yield _passage(raw.value, raw.where)
            self.sha256[str(path)] = digest.hexdigest()

    def _watch(self, update: Callable[[memoryview], object]) -> Callable[[memoryview], object]:
        def watch(block: memoryview) -> None:
            update(block)
            self.read_bytes += len(block)

        return watch


def _passage(value: object, where: str) -> CorpusPassage:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object, found {type(value).__name__}")
    name = "_id" if "_id" in value else "id"
    id_ = value.get(name)
    if isinstance(id_, int) and not isinstance(id_, bool):
        id_ = str(id_)
    found = {name: id_, "title": value.get("title") or "", "text": value.get("text")}
    for field, part in found.items():
        if not isinstance(part, str):
            what = type(part).__name__ if field in value else f"none (fields {shown(list(value))})"
            raise DataError(f"{where}, field {field!r}: expected a text, found {what}")
        if not is_text(part):
            raise DataError(f"{where}, field {field!r}: is not valid text: half a surrogate pair")
    passage = CorpusPassage(*map(str, found.values()))
    if not passage.id:
        raise DataError(f"{where}, field {name!r}: is empty")
    if not (passage.text.strip() or passage.title.strip()):
        raise DataError(f"{where}, field 'text': is empty, and so is the title")
    return passage
