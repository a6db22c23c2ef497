"""The small files that a run directory keeps about itself: what each holds, and how it is read."""

import json
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypeVar

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import first_problem
from pmi_kernel.runs.status import Status

RECORD, REQUEST, OWNER = "config.json", "request.json", "owner.json"
STATUS, SUMMARY, CANCEL = "status.json", "summary.json", "CANCEL"

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
class Request(TypedDict):
    """What was asked for, so that a run can be gone on with by its directory alone."""

    system: str
    config: dict[str, Any]
    settings: dict[str, Any]


@_more
class Owner(TypedDict):
    """The process that runs a run; it began at `started` (seconds since 1970)."""

    pid: Annotated[int, Field(gt=0, lt=2**31)]
    started: FiniteFloat
    host: str


@_more
class Cancel(TypedDict):
    """The owner that is asked to stop; where `force`, at once."""

    owner: Owner
    force: bool


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


_FILES: dict[Any, tuple[str, str]] = {
    Record: (RECORD, "put a copy back, or start in another folder"),
    Request: (REQUEST, "delete it: `pmi resume` then goes by config.json"),
    Owner: (OWNER, "delete it if no process is running this run"),
    Status: (STATUS, "delete it: the next `pmi resume` writes it anew"),
    Cancel: (CANCEL, "delete it"),
    Summary: (SUMMARY, "delete it: the next `pmi resume` writes it anew"),
}

_ADAPTERS: dict[Any, TypeAdapter[Any]] = {shape: TypeAdapter(shape) for shape in _FILES}

Shape = TypeVar("Shape", Record, Request, Owner, Status, Cancel, Summary)


def read(shape: type[Shape], out: Path) -> Shape | None:
    """Return what a run directory's file of this shape holds; None where there is no such file.

    Raises:
        ConfigError: It is damaged, or cannot be read; names the file and what to do.
    """
    name, remedy = _FILES[shape]
    try:
        return _ADAPTERS[shape].validate_python(json.loads((out / name).read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problem = error.strerror or str(error)
    except ValidationError as error:
        problem = first_problem(error)
    except (ValueError, RecursionError):
        problem = "it is not whole JSON"
    raise ConfigError(f"{out / name} is damaged ({problem}); {remedy}")
