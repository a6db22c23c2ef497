"""The official HotpotQA files: downloaded once, resumed when broken off, checked to be whole."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm.auto import tqdm

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.places import fetched_dir
from pmi_kernel.data.limits import DataLimits
from pmi_kernel.data.sources import data_hash, load_data

_TIMEOUT_S = 30
_BLOCK_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Source:
    """A file to fetch: its address and how many records it must hold."""

    url: str
    num_records: int

    @property
    def filename(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[-1]


HOTPOTQA: tuple[Source, ...] = (
    Source("http://curtis.ml.cmu.edu/datasets/hotpot/hotpot_dev_distractor_v1.json", 7_405),
    Source("http://curtis.ml.cmu.edu/datasets/hotpot/hotpot_train_v1.1.json", 90_447),
)
"""The dev-distractor and train files (Yang et al. 2018; CC BY-SA 4.0)."""


def fetch(sources: tuple[Source, ...] = HOTPOTQA, folder: Path | None = None) -> list[Path]:
    """Return the files, downloading what is not there yet, by default to `fetched_dir`.

    A file counts as there when its hash is the one that was recorded after its download. A download
    that broke off leaves a `.part` file, which the next call goes on with if the server's file is
    still the same.

    Raises:
        DataError: The network failed, what came is not whole, or a file was changed since.
    """
    folder = folder or fetched_dir("hotpotqa")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_fetch_one(source, folder / source.filename) for source in sources]
    except OSError as error:
        raise DataError(f"{folder}: cannot be written to ({error.strerror})") from None


def _fetch_one(source: Source, path: Path) -> Path:
    record = path.with_name(path.name + ".sha256.json")
    if path.exists() and record.exists():
        known, found = _recorded(record), data_hash(path)
        if known != found:
            raise DataError(
                f"{path}: changed since it was fetched (sha256 {found}, recorded {known}); "
                "delete it to fetch it again"
            )
        return path
    part = path.with_name(path.name + ".part.json")
    if not path.exists():
        _download(source.url, part)
        sha256 = _checked_hash(part, source)
        part.replace(path)
    else:
        sha256 = _checked_hash(path, source)
    state = {
        "url": source.url,
        "sha256": sha256,
        "bytes": path.stat().st_size,
        "records": source.num_records,
        "fetched": time.strftime("%Y-%m-%d"),
    }
    record.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    return path


def _recorded(record: Path) -> str:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DataError(
            f"{record}: not a record of a download; delete it to make it anew"
        ) from None


def _checked_hash(path: Path, source: Source) -> str:
    data = load_data(path)
    if len(data.examples) != source.num_records:
        raise DataError(
            f"{path}: holds {len(data.examples)} records, expected {source.num_records}; "
            "delete it and retry"
        )
    return data.sha256


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
