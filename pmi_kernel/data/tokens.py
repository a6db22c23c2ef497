"""Text as tokens on disk: written once, read in place, and known by its tokenizer and its text."""

import gzip
import hashlib
import json
import uuid
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import accumulate, islice
from pathlib import Path
from shutil import rmtree
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import UInt32
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.folder import Kept, plainly
from pmi_kernel.core.task import titled
from pmi_kernel.data.sources import load_stream

_TOGETHER = 512
_TEXT_SUFFIXES = (".txt", ".md", ".text")


class Shard(TypedDict):
    """A file of tokens."""

    file: str
    tokens: int
    sha256: str


class Header(TypedDict):
    """What a folder of tokens says of itself."""

    format: int
    dtype: str
    vocabulary: int
    end_id: int
    tokenizer_sha256: str
    text_sha256: str
    documents: int
    shards: list[Shard]


HEADER = Kept("header.json", TypeAdapter(Header), "tokenize the text again")
_FORMAT = 1


class Tokens:
    """A folder of tokens, mapped into memory; a token is read from disk when it is asked for.

    Args:
        folder: As `tokenize` wrote it.

    Raises:
        DataError: It holds no tokens, or a file is missing, cut or too long.
    """

    def __init__(self, folder: Path) -> None:
        header = HEADER.read(folder)
        if header is None or header["format"] != _FORMAT:
            raise DataError(f"{folder} holds no tokens; pmi data tokenize writes them")
        self.folder, self.header = folder, header
        kind = np.dtype(header["dtype"])
        self._parts = []
        for shard in header["shards"]:
            path = folder / shard["file"]
            size = path.stat().st_size if path.is_file() else -1
            if size != shard["tokens"] * kind.itemsize:
                raise DataError(f"{path} is missing, or not whole; {HEADER.remedy}")
            self._parts.append(np.memmap(path, dtype=kind, mode="r"))
        self._ends = list(accumulate(shard["tokens"] for shard in header["shards"]))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def window(self, start: int, count: int) -> UInt32[np.ndarray, " tokens"]:
        """Return so many tokens from a place on, fewer at the end.

        Raises:
            IndexError: The place is not there.
        """
        if not 0 <= start < len(self):
            raise IndexError(f"there are {len(self)} tokens, and none at {start}")
        found, at = [], bisect_right(self._ends, start)
        while count > 0 and at < len(self._parts):
            first = start - (self._ends[at - 1] if at else 0)
            found.append(self._parts[at][first : first + count])
            start, count, at = start + len(found[-1]), count - len(found[-1]), at + 1
        return np.concatenate(found).astype(np.uint32)

    def check(self, tokenizer: Any | None = None) -> None:
        """Compare every file with its hash, and the tokenizer with the one that made them.

        Raises:
            DataError: A file was altered.
            ConfigError: It is another tokenizer.
        """
        if tokenizer is not None and tokenizer_sha256(tokenizer) != self.header["tokenizer_sha256"]:
            raise ConfigError(
                f"{self.folder} was made with another tokenizer (of {self.header['vocabulary']} "
                "tokens); tokenize the text with this one"
            )
        for shard in self.header["shards"]:
            path = self.folder / shard["file"]
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != shard["sha256"]:
                    raise DataError(f"{path} was altered; {HEADER.remedy}")


def documents(source: str) -> Iterator[str]:
    """Yield the documents of a text, one after the other.

    Args:
        source: A text file (documents stand apart by blank lines) or a JSONL file with a "text" in
            each record, both maybe with .gz; else as --data of pmi run: the paragraphs of each
            question, then the question and its answer.

    Raises:
        DataError: It cannot be read, a record has no text, or there is no document.
    """
    path = Path(source)
    suffix = Path(path.name.removesuffix(".gz")).suffix
    found = _documents(path, suffix) if path.is_file() else None
    if found is None:
        found = _of_questions(source)
    is_empty = True
    for one in found:
        is_empty = False
        yield one
    if is_empty:
        raise DataError(f"{source}: there is no text in it")


def tokenize(
    texts: Iterable[str], tokenizer: Any, out: Path, *, shard_tokens: int = 1 << 24
) -> Tokens:
    """Write texts as tokens, each ended by the tokenizer's end, and return them.

    No more than a few documents are held. The folder is there when all is written, or not at all.

    Args:
        texts: Documents.
        tokenizer: A fast one that has an end token.
        out: The folder, which is not there yet.
        shard_tokens: Most tokens of a file.

    Raises:
        ConfigError: The folder is there, or the tokenizer does not fit.
    """
    end_id = getattr(tokenizer, "eos_token_id", None)
    if end_id is None or not getattr(tokenizer, "is_fast", False):
        raise ConfigError("a fast tokenizer with an end token (eos_token) is needed")
    if out.exists():
        raise ConfigError(f"{out} is there already; name another folder, or delete it")
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex}.partial")
    with plainly(out):
        partial.mkdir(parents=True)
        try:
            with _Writer(partial, len(tokenizer), shard_tokens) as writer:
                for some in _batches(texts):
                    rows = tokenizer(
                        some, add_special_tokens=False, return_attention_mask=False, verbose=False
                    )["input_ids"]
                    for text, row in zip(some, rows, strict=True):
                        writer.write(text, [*row, end_id])
            HEADER.write(partial, writer.header(end_id, tokenizer_sha256(tokenizer)))
            partial.rename(out)
        except BaseException:
            rmtree(partial, ignore_errors=True)
            raise
    return Tokens(out)


def split_documents(source: str, out: Path, share: float, seed: int) -> dict[str, int]:
    """Write the documents of a text into train.jsonl and val.jsonl, and return how many each has.

    Documents that are the same are on the same side. Both files are there when all is written.

    Args:
        source: As in `documents`.
        out: Folder to write into; files of these names are replaced.
        share: Of the documents, held out for val.jsonl.
        seed: Of the draw.

    Raises:
        DataError: It cannot be read, or one side would be empty.
    """
    names = ("train.jsonl", "val.jsonl")
    counts = dict.fromkeys(names, 0)
    with plainly(out), ExitStack() as stack:
        out.mkdir(parents=True, exist_ok=True)
        partial = {name: out / f".{name}.{uuid.uuid4().hex}.partial" for name in names}
        for path in partial.values():
            stack.callback(path.unlink, missing_ok=True)
        files = {name: stack.enter_context(partial[name].open("wb")) for name in names}
        for text in documents(source):
            name = names[is_held_out(text, share, seed)]
            files[name].write(json.dumps({"text": text}).encode() + b"\n")
            counts[name] += 1
        for name, count in counts.items():
            if not count:
                raise DataError(f"{source}: no document is left for {name}; it has too few")
        for name, file in files.items():
            file.close()
            partial[name].replace(out / name)
    return counts


def is_held_out(text: str, share: float, seed: int) -> bool:
    """Return whether a document is held out; those that are the same are on the same side."""
    drawn = hashlib.sha256(f"{seed}/{text}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(drawn[:8], "big") < share * 2**64


def tokenizer_sha256(tokenizer: Any) -> str:
    """Return the hash of all that a tokenizer does; of one that is not fast, of what it says."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else repr(tokenizer)
    return hashlib.sha256(text.encode()).hexdigest()


class TextHash:
    """The hash of documents one after the other, wherever each of them ends."""

    def __init__(self) -> None:
        self._hashed = hashlib.sha256()

    def add(self, text: str) -> None:
        """Add a document."""
        data = text.encode("utf-8", errors="surrogatepass")
        self._hashed.update(len(data).to_bytes(8, "little") + data)

    def hexdigest(self) -> str:
        """Return the hash of all that were added."""
        return self._hashed.hexdigest()


class _Writer:
    """Writes tokens into one file after the other."""

    def __init__(self, folder: Path, vocabulary: int, shard_tokens: int) -> None:
        self._folder, self._most, self._vocabulary = folder, shard_tokens, vocabulary
        self._kind = np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)
        self._shards: list[Shard] = []
        self._text, self._documents = TextHash(), 0
        self._file: BinaryIO | None = None
        self._hash, self._count = hashlib.sha256(), 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def write(self, text: str, tokens: Sequence[int]) -> None:
        self._text.add(text)
        self._documents += 1
        left = np.array(tokens, dtype=self._kind)
        while len(left):
            if self._file is None:
                self._file = (self._folder / self._name()).open("wb")
                self._hash, self._count = hashlib.sha256(), 0
            now, left = np.split(left, [self._most - self._count])
            written = now.tobytes()
            self._file.write(written)
            self._hash.update(written)
            self._count += len(now)
            if self._count == self._most:
                self._end()

    def header(self, end_id: int, tokenizer_hash: str) -> Header:
        return {
            "format": _FORMAT,
            "dtype": self._kind.name,
            "vocabulary": self._vocabulary,
            "end_id": end_id,
            "tokenizer_sha256": tokenizer_hash,
            "text_sha256": self._text.hexdigest(),
            "documents": self._documents,
            "shards": self._shards,
        }

    def _name(self) -> str:
        return f"tokens-{len(self._shards):05}.bin"

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            sha256 = self._hash.hexdigest()
            self._shards.append({"file": self._name(), "tokens": self._count, "sha256": sha256})
            self._file = None


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(texts)
    while some := list(islice(waiting, _TOGETHER)):
        yield some


def _documents(path: Path, suffix: str) -> Iterator[str] | None:
    """The documents of a file of text; None where it holds something else."""
    if suffix in _TEXT_SUFFIXES:
        return _of_lines(path)
    if suffix == ".jsonl":
        with _opened(path) as file:
            first = next(file, b"")
        try:
            record = json.loads(first)
        except ValueError:
            raise DataError(f"{path}: record 1 is not whole JSON") from None
        if isinstance(record, dict) and isinstance(record.get("text"), str):
            return _of_records(path)
    return None


def _of_lines(path: Path) -> Iterator[str]:
    lines: list[str] = []
    for line in _lines(path):
        if line.strip():
            lines.append(line)
        elif lines:
            yield "".join(lines).rstrip("\n")
            lines = []
    if lines:
        yield "".join(lines).rstrip("\n")


def _of_records(path: Path) -> Iterator[str]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{path}: record {number} is not whole JSON") from None
        text = record.get("text") if isinstance(record, dict) else None
        if not isinstance(text, str):
            raise DataError(f'{path}: record {number} has no "text"')
        yield text


def _of_questions(source: str) -> Iterator[str]:
    for example in load_stream(source):
        for paragraph in example.task.context:
            yield titled(paragraph.title, paragraph.text)
        yield f"{example.task.question} {' / '.join(example.gold.answers[:1])}".strip()


def _lines(path: Path) -> Iterator[str]:
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield line.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{path}: line {number} is not UTF-8 ({error.reason})"
                    ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: broken gzip file ({error}); is it truncated?") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")
