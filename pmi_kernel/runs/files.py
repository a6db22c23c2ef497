"""The small files that a run directory keeps about itself, beside those of every job."""

from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, FiniteFloat, TypeAdapter, with_config
from typing_extensions import TypedDict

from pmi_kernel.core.folder import Kept
from pmi_kernel.jobs.status import Status, counted

_more = with_config(ConfigDict(extra="allow"))


@_more
class Hash(TypedDict):
    """Which bytes the questions were read from."""

    sha256: str


@_more
class Record(TypedDict):
    """What a run was begun with; see `make_record`."""

    system: str
    config: dict[str, Any]
    engine: dict[str, str]
    data: Hash
    data_source: str
    probe: bool
    wrong_passage: NotRequired[bool]
    versions: NotRequired[dict[str, str]]
    git: NotRequired[dict[str, str | bool | None]]
    provenance: NotRequired[list[dict[str, Any]]]


@_more
class _Engine(TypedDict):
    model: NotRequired[str]


@_more
class _Git(TypedDict):
    commit: str | None
    is_dirty: bool | None


@_more
class Summary(TypedDict):
    """What a run came to, as far as lists of runs show it."""

    system: str
    engine: _Engine
    data: Hash
    git: _Git
    num_episodes: int
    num_pending: int
    em: FiniteFloat | None
    f1: FiniteFloat | None


RECORD = Kept("config.json", TypeAdapter(Record), "put a copy back, or start in another folder")
SUMMARY = Kept(
    "summary.json", TypeAdapter(Summary), "delete it: the next `pmi resume` writes it anew"
)


def found(out: Path) -> Status:
    """Return how far a run is by its summary; nothing where it has none.

    Raises:
        ConfigError: The summary is damaged.
    """
    summary = SUMMARY.read(out)
    if summary is None:
        return {}
    return counted("episode", summary["num_episodes"], summary["num_pending"])


def found_cells(out: Path) -> Status:
    """Return how far a study is by the runs in its folder; nothing where there is none.

    Raises:
        ConfigError: A summary is damaged.
    """
    summaries = [SUMMARY.read(record.parent) for record in out.glob(f"*/*/{RECORD.name}")]
    done = sum(summary is not None and not summary["num_pending"] for summary in summaries)
    return counted("cell", done, len(summaries) - done) if summaries else {}
