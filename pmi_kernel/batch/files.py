"""The small files that a run directory keeps about itself: what each holds, and how it is read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypeVar

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from pmi_kernel.batch.status import Status
from pmi_kernel.errors import ConfigError

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
    model: str


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


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with settings or a file, and where."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


@contextmanager
def plainly(out: Path) -> Iterator[None]:
    """Say in one line what the operating system refuses to do with a run directory.

    Raises:
        ConfigError: An `OSError` was raised meanwhile.
    """
    try:
        yield
    except OSError as error:
        name = error.filename2 or error.filename  # of a file that was to be replaced, the old one
        place = f": {name}" if name else ""
        raise ConfigError(
            f"{out} cannot be used ({error.strerror or error}{place}); mend that and go on with "
            "the same command, or choose another --out"
        ) from error


def describe(error: BaseException) -> str:
    """Return an error's kind and text in one line, which can be written anywhere."""
    try:
        text = str(error)
    except Exception as failure:
        text = f"without a text ({type(failure).__name__})"
    return writable(" ".join(f"{type(error).__name__}: {text}".split()))


def writable(text: str) -> str:
    """Return text from outside with what is not Unicode, a lone surrogate, spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
