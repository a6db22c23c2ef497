"""Data sources: the names, paths and settings that stand for questions everywhere."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.places import fetched_dir, resource
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import is_text, shown
from pmi_kernel.data.derived import derive, is_derived, resolved
from pmi_kernel.data.hotpot import render_examples, to_record
from pmi_kernel.data.limits import DataLimits
from pmi_kernel.data.passages import parse_record
from pmi_kernel.data.reading import read_raw
from pmi_kernel.data.worlds import WorldStream, generate
from pmi_kernel.data.worlds.settings import SCHEME, parse_loaded, parse_source


@dataclass(frozen=True, slots=True)
class Data:
    """Every example of a data source, and what it was read from.

    Attributes:
        examples: In the file's order.
        sha256: As `data_hash`, of the bytes that were decoded.
        source: As `resolve_source`.
    """

    examples: tuple[Example, ...]
    sha256: str
    source: str


def load_data(source: str | Path) -> Data:
    """Return every example of a data source; nothing is returned unless all of it is valid.

    A file is read once, so examples and hash belong together even if it is being written to.

    Args:
        source: `sample` (the embedded default), `hotpotqa`, `hotpotqa-train`, a path (HotpotQA's
            layout, or questions with their passages: `data.passages`); fictional worlds: `world:`
            and settings (`WorldSettings`), as in `world:hops=3,n=40,seed=1`; or questions made of
            others: `first: mix: shift: mixed:` (`data.derived`).

    Raises:
        DataError: The settings are not right, or ask for more than can be made at once; or the file
            is missing, torn, too large, or holds an invalid record: names the file, the record
            (from 1) and the field.
    """
    whole, digest = resolve_source(str(source)), hashlib.sha256()
    if (made := _made(source)) is not None:
        digest.update(render_examples(made).encode())
        return Data(tuple(made), digest.hexdigest(), whole)
    found: dict[str, tuple[str, Example]] = {}
    limits = DataLimits.from_environment()
    for where, record in read_raw(_path(source), limits, watch=digest.update):
        example = parse_record(record, where, limits)
        id_ = example.task.id
        if id_ in found:
            raise DataError(f"{where}, field '_id': {shown(id_)} stands at {found[id_][0]} already")
        found[id_] = (where.rsplit(": ", 1)[-1], example)
    return Data(tuple(example for _, example in found.values()), digest.hexdigest(), whole)


def load_examples(source: str | Path) -> list[Example]:
    """Return every example of a data source.

    Raises:
        DataError: As `load_data`.
    """
    return list(load_data(source).examples)


def load_stream(source: str | Path) -> Sequence[Example]:
    """Return every example of a data source; those of worlds are made as they are taken.

    So worlds can have millions of questions: nothing is held, and any number can be asked for.

    Raises:
        DataError: As `load_data`, which reads any other source.
    """
    if _is_world(source):
        return WorldStream(parse_source(str(source)))
    return load_data(source).examples


def raw_records(
    source: str | Path, limits: DataLimits, *, watch: Callable[[bytes | memoryview], object]
) -> Iterator[tuple[str, object]]:
    """Yield (where, record) for each record of a data source, unchecked.

    Args:
        source: As `load_data`.
        limits: The most to read.
        watch: Shown what `data_hash` hashes, once all are yielded.

    Raises:
        DataError: The settings are not right, or the file cannot be read to its end.
    """
    made = _made(source)
    if made is None:
        yield from read_raw(_path(source), limits, watch=watch)
        return
    watch(render_examples(made).encode())
    for number, example in enumerate(made, start=1):
        yield f"{source}: record {number}", to_record(example)


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
    path = _path(source)
    return source if source in _named() else str(path.resolve())


def data_hash(source: str | Path) -> str:
    """Return the sha256 of a data file's bytes; of what is made, of the `.json` file it makes.

    Raises:
        DataError: The settings are not right, or the file cannot be read.
    """
    if _is_world(source) or is_derived(str(source)):
        return load_data(source).sha256
    path = _path(source)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _is_world(source: str | Path) -> bool:
    return str(source).startswith(SCHEME)


def _made(source: str | Path) -> list[Example] | None:
    """The questions of a source that is not read from one file."""
    if _is_world(source):
        return generate(parse_loaded(str(source)))
    return derive(str(source), load_examples) if is_derived(str(source)) else None


def _named() -> dict[str, Path]:
    return {
        "sample": resource("data/sample/fictional_60.json"),
        "hotpotqa": fetched_dir("hotpotqa") / "hotpot_dev_distractor_v1.json",
        "hotpotqa-train": fetched_dir("hotpotqa") / "hotpot_train_v1.1.json",
    }


def _path(source: str | Path) -> Path:
    named = _named()
    path = named.get(str(source), Path(source))
    if not is_text(str(path)):
        raise DataError(f"{shown(str(path))}: the path is not valid text")
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise DataError(f"{shown(str(path))}: expected a file, found a directory")
    except OSError as error:
        raise DataError(f"{shown(str(path))}: {error.strerror}") from None
    if str(source) in named and str(source) != "sample":
        raise DataError(f"{source}: not here yet; run `pmi data fetch hotpotqa`")
    raise DataError(
        f"{shown(str(path))}: no such file (names are {', '.join(named)}; fictional worlds are "
        f"{SCHEME}name=value,...)"
    )
