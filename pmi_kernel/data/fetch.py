"""A set's official files: downloaded once, resumed when broken off, checked to be whole.

What a person has to get is checked and recorded in the same way once it is there.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import requests
from tqdm.auto import tqdm

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.text import shown
from pmi_kernel.data.limits import DataLimits
from pmi_kernel.data.questions import QuestionFile
from pmi_kernel.data.sets import SETS, DataSet, Split

_TIMEOUT_S = 30
_BLOCK_BYTES = 8192


def set_named(name: str) -> DataSet:
    """Return a set of the registry.

    Raises:
        DataError: There is none of that name.
    """
    if name not in SETS:
        raise DataError(f"{shown(name)}: no such data set (there are {', '.join(SETS)})")
    return SETS[name]


def fetch(dataset: DataSet, *, say: Callable[[str], object] = lambda text: None) -> list[Path]:
    """Return a set's files, whole and valid, downloading what is not there yet.

    A file counts as there when its hash is the one that was recorded after its download. A download
    that broke off leaves a `part.` file, which the next call goes on with if the server's file is
    still the same.

    Args:
        dataset: The set.
        say: Told of what is to be got by hand and is not there.

    Raises:
        DataError: The network failed, what came is not whole, a file was changed since, or nothing
            is there of a set that a person has to get: says what to get and where to put it.
    """
    folder, found = dataset.folder, []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, split in dataset.splits.items():
            path = folder / split.file
            if split.url or path.is_file():
                found.append(_fetch_one(dataset, split, path))
            else:
                say(f"{dataset.name}, {name}: {path} is not there")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written to ({error.strerror})") from None
    if not found:
        raise DataError(f"{dataset.name} cannot be fetched: {dataset.to_get()}")
    return found


def _fetch_one(dataset: DataSet, split: Split, path: Path) -> Path:
    record = path.with_name(path.name + ".sha256.json")
    if path.exists() and record.exists():
        known, found = _recorded(record), _hash(path)
        if known != found:
            raise DataError(
                f"{path}: changed since it was fetched (sha256 {found}, recorded {known}); "
                "delete it to fetch it again"
            )
        return path
    if path.exists():
        num_records = _checked(dataset, split, path)
    else:
        part = path.with_name(f"part.{path.name}")
        _download(split.url, part)
        num_records = _checked(dataset, split, part)
        part.replace(path)
    state = {
        "url": split.url,
        "sha256": _hash(path),
        "bytes": path.stat().st_size,
        "records": num_records,
        "fetched": time.strftime("%Y-%m-%d"),
    }
    record.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    return path


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recorded(record: Path) -> str:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DataError(
            f"{record}: not a record of a download; delete it to make it anew"
        ) from None


def _checked(dataset: DataSet, split: Split, path: Path) -> int:
    """How many records a file holds, all of them valid."""
    num_records = sum(1 for _ in QuestionFile(path, dataset=dataset).read())
    if split.num_records not in (None, num_records):
        raise DataError(
            f"{path}: holds {num_records:,} records, expected {split.num_records:,}; "
            "delete it and retry"
        )
    return num_records


def _download(url: str, part: Path) -> None:
    """Bring `part` to its full length, from where it stands if the server's file is the same."""
    tag_file = part.with_name(part.name + ".tag")
    tag = tag_file.read_text(encoding="utf-8") if tag_file.exists() else ""
    have = part.stat().st_size if part.exists() and tag else 0
    headers, limits = {"Accept-Encoding": "identity"}, DataLimits.from_environment()
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                return
            answer.raise_for_status()
            if answer.status_code != requests.codes.partial_content:
                have = 0
            etag = answer.headers.get("ETag", "")
            is_strong = etag and not etag.startswith("W/")
            tag_file.write_text(
                etag if is_strong else answer.headers.get("Last-Modified", ""), encoding="utf-8"
            )
            total = have + int(answer.headers.get("Content-Length", 0))
            bar = tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=part.name)
            with bar, part.open("ab" if have else "wb") as file:
                for block in answer.iter_content(_BLOCK_BYTES):
                    have += len(block)
                    if have > limits.mb * 1_000_000:
                        raise DataError(f"{url}: {limits.over('mb')}")
                    file.write(block)
                    bar.update(len(block))
    except (requests.RequestException, OSError, ValueError) as error:
        raise DataError(f"{url}: {error}; run the command again to go on") from error
    size = part.stat().st_size
    if total and size != total:
        raise DataError(f"{url}: broke off after {size} of {total} bytes; run the command again")
    tag_file.unlink(missing_ok=True)
