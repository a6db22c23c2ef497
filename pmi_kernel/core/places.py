"""Files that come with the workbench, and where its data are: in a source tree, or installed."""

import os
from importlib.resources import files
from pathlib import Path

from pmi_kernel.core.errors import ConfigError

PACKAGE = Path(str(files("pmi_kernel")))
"""Folder of this package."""

_PACKED = PACKAGE / "_resources"
_NOTEBOOKS = ("notebooks/*.ipynb", "runs/example/*.json*", "runs/example_study/**/*.json*")
"""The notebooks, and the runs that they open."""


def source_tree() -> Path | None:
    """Return the source tree that the package runs from; None where a wheel was installed."""
    return None if _PACKED.is_dir() else PACKAGE.parent


def resource(name: str) -> Path:
    """Return a file or folder that comes with the workbench.

    Args:
        name: Its path in the source tree; `setup.py` says which of them a wheel has.
    """
    return (source_tree() or _PACKED) / name


def fetched_dir(name: str) -> Path:
    """Return the folder of a data set that is fetched.

    It is in `$PMI_DATA`, else in the source tree's `data` if it was fetched to there, else in
    `pmi-workbench` in the user's data.
    """
    if own := os.environ.get("PMI_DATA"):
        return Path(own) / name
    if (there := resource("data") / name).is_dir():
        return there
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "pmi-workbench" / name


def cache_dir() -> Path:
    """Return the workbench's cache: `$PMI_CACHE`, else `pmi-workbench` in the user's cache."""
    if own := os.environ.get("PMI_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pmi-workbench"


def copy_notebooks(to: Path) -> None:
    """Copy the notebooks, and the runs that they open, to where a user can change them.

    Raises:
        ConfigError: A file of that name is there and differs (nothing is copied then), or the
            folder cannot be written.
    """
    root = resource("")
    copies = {
        to / path.relative_to(root): path.read_bytes()
        for pattern in _NOTEBOOKS
        for path in sorted(root.glob(pattern))
    }
    changed = [path for path, content in copies.items() if _is_other(path, content)]
    if changed:
        more = f" and {len(changed) - 1} more files" if len(changed) > 1 else ""
        raise ConfigError(
            f"{changed[0]}{more} would be overwritten; "
            f"go on with what is there (cd {to} && pmi lab), or name another folder"
        )
    try:
        for path, content in copies.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{to} cannot be written: {error.strerror}") from None


def _is_other(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() != content
