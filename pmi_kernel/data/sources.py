"""Data sources: the names, paths and `world:` settings that stand for questions everywhere."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pmi_kernel.data.hotpot import parse_example, read_raw, render_examples, to_record
from pmi_kernel.data.worlds import generate
from pmi_kernel.data.worlds.settings import SCHEME, parse_source
from pmi_kernel.errors import DataError
from pmi_kernel.types import Example

_ROOT = Path(__file__).resolve().parents[2]
_NAMED = {
    "sample": _ROOT / "data" / "sample" / "fictional_60.json",
    "hotpotqa": _ROOT / "data" / "hotpotqa" / "hotpot_dev_distractor_v1.json",
    "hotpotqa-train": _ROOT / "data" / "hotpotqa" / "hotpot_train_v1.1.json",
}


def load_examples(source: str | Path) -> list[Example]:
    """Return every example of a data source; nothing is returned unless all of it is valid.

    Args:
        source: `sample` (the embedded default), `hotpotqa`, `hotpotqa-train`, a path, or fictional
            worlds: `world:` and settings (`WorldSettings`), as in `world:hops=3,n=40,seed=1`.

    Raises:
        DataError: The settings are not right; or the file is missing, torn, or holds an invalid
            record: names the file, the record (from 1) and the field.
    """
    if _is_world(source):
        return generate(parse_source(str(source)))
    examples = []
    first_at: dict[str, str] = {}
    for where, record in read_raw(_path(source)):
        example = parse_example(record, where)
        id_ = example.task.id
        if id_ in first_at:
            raise DataError(f"{where}, field '_id': {id_!r} stands at {first_at[id_]} already")
        first_at[id_] = where.rsplit(": ", 1)[-1]
        examples.append(example)
    return examples


def raw_records(source: str | Path) -> Iterator[tuple[str, object]]:
    """Yield (where, record) for each record of a data source, unchecked.

    Raises:
        DataError: The settings are not right, or the file cannot be read to its end.
    """
    if not _is_world(source):
        yield from read_raw(_path(source))
        return
    for number, example in enumerate(load_examples(source), start=1):
        yield f"{source}: record {number}", to_record(example)


def resolve_source(source: str) -> str:
    """Return what stands for the same data in any folder.

    A data set's name is returned as it is, a path is made absolute, and the settings of a world are
    all spelled out.

    Raises:
        DataError: There is no such file, or the settings are not right.
    """
    if _is_world(source):
        return parse_source(source).source
    path = _path(source)
    return source if source in _NAMED else str(path.resolve())


def data_hash(source: str | Path) -> str:
    """Return the sha256 of a data file's bytes; of a world, of those of the `.json` file it makes.

    Raises:
        DataError: As `load_examples`.
    """
    if _is_world(source):
        return hashlib.sha256(render_examples(load_examples(source)).encode()).hexdigest()
    digest = hashlib.sha256()
    with _path(source).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _is_world(source: str | Path) -> bool:
    return str(source).startswith(SCHEME)


def _path(source: str | Path) -> Path:
    path = _NAMED.get(str(source), Path(source))
    if path.is_file():
        return path
    if str(source) in _NAMED and str(source) != "sample":
        raise DataError(f"{source}: not here yet; run `pmi data fetch hotpotqa`")
    raise DataError(
        f"{path}: no such file (names are {', '.join(_NAMED)}; fictional worlds are "
        f"{SCHEME}name=value,...)"
    )
