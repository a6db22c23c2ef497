"""Data sources: the names, paths and settings that stand for questions everywhere."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.places import resource
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import is_text, shown
from pmi_kernel.data.derived import derive, is_derived, resolved
from pmi_kernel.data.examples import Examples
from pmi_kernel.data.layouts import LAYOUTS
from pmi_kernel.data.questions import QuestionFile
from pmi_kernel.data.sets import SETS, split_named
from pmi_kernel.data.worlds import WorldStream
from pmi_kernel.data.worlds.settings import SCHEME, parse_loaded, parse_source
from pmi_kernel.data.writing import render_examples

_AS = "as:"


@dataclass(frozen=True, slots=True)
class Data:
    """Every example of a data source, and what it was read from.

    Attributes:
        examples: In the file's order, read when they are asked for.
        sha256: As `data_hash`, of the bytes that were decoded.
        source: As `resolve_source`.
    """

    examples: Examples
    sha256: str
    source: str


def load_data(source: str | Path) -> Data:
    """Return every example of a data source; nothing is returned unless all of it is valid.

    A file is read once to check it, so examples and hash belong together even if it is replaced
    meanwhile; then each example when it is asked for.

    Args:
        source: `sample` (the embedded default); a data set's name, with `-train` for that split
            (`data.sets`); a path, whose layout is recognised (`data.layouts`); `as:NAME:FILE`, a
            file of a set or in a layout of that name; fictional worlds: `world:` and settings
            (`WorldSettings`), as in `world:hops=3,n=40,seed=1`; or questions made of others:
            `first: rows: mix: shift: mixed:` (`data.derived`).

    Raises:
        DataError: The settings are not right, or ask for more than can be made at once; or the file
            is missing, torn, too large, or holds an invalid record: names the file, the record
            (from 1) and the field.
    """
    whole, digest = resolve_source(str(source)), hashlib.sha256()
    if _is_made(str(source)):
        examples = _opened(str(source))
        for piece in render_examples(examples):
            digest.update(piece.encode())
    else:
        examples = _opened(str(source), digest.update)
    return Data(examples, digest.hexdigest(), whole)


def load_examples(source: str | Path) -> list[Example]:
    """Return every example of a data source, read at once.

    Raises:
        DataError: As `load_data`.
    """
    file = open_file(source)
    return list(_opened(str(source)) if file is None else file.read())


def load_stream(source: str | Path) -> Sequence[Example]:
    """Return every example of a data source, each read or made when it is taken.

    So worlds can have millions of questions: nothing is held, and any number can be asked for.

    Raises:
        DataError: As `load_data`.
    """
    if _is_world(source):
        return WorldStream(parse_source(str(source)))
    return _opened(str(source))


def read_any(
    source: str | Path, file: QuestionFile | None, *, watch: Callable[[bytes | memoryview], object]
) -> Iterator[tuple[str, Example | DataError]]:
    """Yield (where, example) for each record of a data source; for an invalid one, its error.

    Args:
        source: As `load_data`.
        file: The file that it is read from, as `open_file` has it.
        watch: Shown what `data_hash` hashes, once all are yielded.

    Raises:
        DataError: The settings are not right, or the file cannot be read to its end.
    """
    if file is not None:
        yield from file.read_any(watch=watch)
        return
    examples = _opened(str(source))
    for piece in render_examples(examples):
        watch(piece.encode())
    for number, example in enumerate(examples, start=1):
        yield f"{source}: record {number}", example


def resolve_source(source: str) -> str:
    """Return what stands for the same data in any folder.

    A data set's name is returned as it is, a path is made absolute, the settings of a world are all
    spelled out, and so is what another source is made of.

    Raises:
        DataError: There is no such file, or the settings are not right.
    """
    if _is_world(source):
        return parse_source(source).source
    if is_derived(source):
        return resolved(source, resolve_source)
    if source.startswith(_AS):
        name, file = _as(source)
        return f"{_AS}{name}:{resolve_source(file)}"
    path = _path(source)
    return source if _is_named(source) else str(path.resolve())


def data_hash(source: str | Path) -> str:
    """Return the sha256 of a data file's bytes; of what is made, of the `.json` file it makes.

    Where `as:` gives a file's questions another answer kind or metric than it has by itself, the
    name is part of what is hashed.

    Raises:
        DataError: As `load_data`.
    """
    return load_data(source).sha256


def trained_hashes(data: str, eval_data: str) -> dict[str, str]:
    """Return hashes of the questions that are learned from and of those that are measured on.

    Worlds that are learned from are endless: they are made as they are read.

    Raises:
        DataError: As `load_data`.
    """
    is_made = data.startswith("world:")
    return {
        "data_sha256": "made as it is read" if is_made else data_hash(data),
        "eval_data_sha256": data_hash(eval_data),
    }


def open_file(source: str | Path, *, is_kept: bool = False) -> QuestionFile | None:
    """Return the file that a source is read from, see `QuestionFile`; None of one that is made.

    Raises:
        DataError: It is not there.
    """
    told, layout, dataset = str(source), None, None
    if _is_made(told):
        return None
    if told.startswith(_AS):
        name, told = _as(told)
        dataset, layout = SETS.get(name), None if name in SETS else LAYOUTS[name]
    elif found := split_named(told):
        dataset = found[0]
    return QuestionFile(_path(told), layout=layout, dataset=dataset, is_kept=is_kept)


def _opened(source: str, watch: Callable[[memoryview], object] = len) -> Examples:
    """The questions of a source, all of them checked."""
    if _is_world(source):
        stream = WorldStream(parse_loaded(source))
        return Examples(stream.ids(), stream.__getitem__)
    file = open_file(source, is_kept=True)
    if file is None:
        return derive(source, _opened)
    for _ in file.read(watch=watch):
        pass
    return Examples(file.ids, file.again)


def _is_world(source: str | Path) -> bool:
    return str(source).startswith(SCHEME)


def _is_made(source: str) -> bool:
    """Whether a source is not read from one file."""
    return _is_world(source) or is_derived(source)


def _is_named(source: str) -> bool:
    return source == "sample" or split_named(source) is not None


def _as(source: str) -> tuple[str, str]:
    """The name and the file of `as:NAME:FILE`."""
    name, _, file = source.removeprefix(_AS).partition(":")
    if not file or (name not in SETS and name not in LAYOUTS):
        names = ", ".join(dict.fromkeys((*SETS, *LAYOUTS)))
        raise DataError(f"{source}: expected as:NAME:FILE, NAME of a set or a layout ({names})")
    if _is_made(file) or file.startswith(_AS):
        raise DataError(f"{source}: as: is said of a file; put it innermost, as in first:5:as:...")
    return name, file


def _path(source: str | Path) -> Path:
    found = split_named(str(source))
    path = found[0].path(found[1]) if found else Path(source)
    if str(source) == "sample":
        path = resource("data/sample/fictional_60.json")
    if not is_text(str(path)):
        raise DataError(f"{shown(str(path))}: the path is not valid text")
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise DataError(f"{shown(str(path))}: expected a file, found a directory")
    except OSError as error:
        raise DataError(f"{shown(str(path))}: {error.strerror}") from None
    if found:
        raise DataError(f"{source}: not here yet; {found[0].to_get()}")
    raise DataError(
        f"{shown(str(path))}: no such file, and no data set of that name (`pmi data list` lists "
        f"them; fictional worlds are {SCHEME}name=value,...)"
    )
