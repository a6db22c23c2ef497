"""Files of a folder: written whole or not at all; what goes wrong with them is one line."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from pmi_kernel.core.errors import ConfigError

Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Kept(Generic[Shape]):
    """A small JSON file that a folder keeps about itself.

    Attributes:
        name: Of the file.
        shape: What it holds.
        remedy: What a user can do where it is damaged.
    """

    name: str
    shape: TypeAdapter[Shape]
    remedy: str

    def at(self, out: Path) -> Path:
        """Return its place in a folder."""
        return out / self.name

    def read(self, out: Path) -> Shape | None:
        """Return what it holds; None where there is no such file.

        Raises:
            ConfigError: It is damaged, or cannot be read; names the file and what to do.
        """
        try:
            return self.shape.validate_python(json.loads(self.at(out).read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            problem = error.strerror or str(error)
        except ValidationError as error:
            problem = first_problem(error)
        except (ValueError, RecursionError):
            problem = "it is not whole JSON"
        raise ConfigError(f"{self.at(out)} is damaged ({problem}); {self.remedy}")

    def write(self, out: Path, value: Shape) -> None:
        """Write it, whole or not at all."""
        write_json(self.at(out), value)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, whole or not at all; several processes may at once."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        # A lone surrogate, e.g. of a path, is written as JSON's own escape.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_json(path: Path, default: Any = None) -> Any:
    """Return the value in a JSON file; `default` where there is none, or only part of one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


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
            "the same settings, or choose another folder"
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
