"""Examples as files, in any layout: whole or not at all."""

import csv
import gzip
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.core.text import shown
from pmi_kernel.data.decoding import KEY
from pmi_kernel.data.layouts import LAYOUTS, Layout, layout_for
from pmi_kernel.data.layouts.layout import Record
from pmi_kernel.data.recasting import recast

SUFFIXES = (".json", ".jsonl", ".tsv")
"""What a file can be written as; each may have `.gz` behind it."""


def render_examples(
    examples: Iterable[Example], suffix: str = ".json", layout: Layout | None = None
) -> Iterator[str]:
    """Yield the text of examples, piece by piece: a JSON array or object, JSON lines, or a table.

    Args:
        examples: What is written.
        suffix: One of `SUFFIXES`.
        layout: Theirs; None for the one in which each loses nothing (see `layout_for`).

    Raises:
        DataError: An example has no place in the layout, or the layout none in such a file.
    """
    records = (_record(example, layout or layout_for(example)) for example in examples)
    match suffix:
        case ".jsonl":
            yield from (f"{_json(record)}\n" for record in records)
        case ".tsv":
            yield from _table(records)
        case _:
            is_object = layout is not None and layout.id_field == KEY
            begin, end = "{}" if is_object else "[]"
            yield begin
            before = "\n"
            for record in records:
                name = f"{_json(record.pop(KEY))}: " if is_object else ""
                yield f"{before}{name}{_json(record)}"
                before = ",\n"
            yield f"\n{end}\n"


def _record(example: Example, layout: Layout) -> Record:
    return layout.write(recast(example, layout))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _table(records: Iterator[Record]) -> Iterator[str]:
    names: list[str] = []
    for record in records:
        if nested := [name for name, value in record.items() if isinstance(value, list | dict)]:
            raise DataError(f"the field {nested[0]!r} has no place in a table; use .json or .jsonl")
        if not names:
            names = list(record)
            yield _row(names)
        yield _row([record.get(name, "") for name in names])


def _row(cells: list[object] | list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerow(cells)
    return text.getvalue()


def suffix_of(path: Path) -> str:
    """Return what a file's name says that it is; empty where that is none of `SUFFIXES`."""
    suffix = Path(path.name.removesuffix(".gz")).suffix
    return suffix if suffix in SUFFIXES else ""


def write_examples(examples: Iterable[Example], path: Path, layout: str = "") -> None:
    """Write examples, whole or not at all; the path ends in one of `SUFFIXES`, maybe with `.gz`.

    Args:
        examples: What is written; taken one by one.
        path: Where.
        layout: A name of `LAYOUTS`; by default the one in which each loses nothing.

    Raises:
        ValueError: The path ends otherwise.
        DataError: It cannot be written, or an example has no place in the layout.
    """
    suffix = suffix_of(path)
    if not suffix:
        raise ValueError(f"{path}: expected a {', '.join(SUFFIXES)} file, plain or with .gz")
    pieces = render_examples(examples, suffix, LAYOUTS[layout] if layout else None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name[:100])
        try:
            with os.fdopen(descriptor, "wb") as file:
                _write(pieces, file, is_packed=path.name.endswith(".gz"))
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            os.unlink(partial)
            raise
    except OSError as error:
        raise DataError(f"{shown(str(path))}: cannot be written ({error.strerror})") from None


def _write(pieces: Iterator[str], file: io.BufferedWriter, *, is_packed: bool) -> None:
    if not is_packed:
        file.writelines(piece.encode() for piece in pieces)
        return
    # Without a name and a time in it, the same examples are the same bytes.
    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.writelines(piece.encode() for piece in pieces)
