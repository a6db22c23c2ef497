"""Checkpoints by name: those that come with the workbench, and folders."""

from pathlib import Path

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.places import resource
from pmi_kernel.training.checkpoint import META, Checkpoint, read_checkpoint


def find_checkpoint(name: str, *, system: str) -> Checkpoint:
    """Return a checkpoint.

    Args:
        name: One that comes with the workbench (`own_checkpoints`), or the folder of a checkpoint
            or of a training (`pmi train`).
        system: Name of the system that is to use it.

    Raises:
        ConfigError: There is no such checkpoint, or it is torn, altered or another system's.
    """
    own = _own().get(name)
    path = own or Path(name)
    if not name or not path.is_dir():
        said = f"checkpoint {name!r}: there is no such folder" if name else "no checkpoint is named"
        there = ", ".join(own_checkpoints(system))
        raise ConfigError(
            f"{said}; take one of `pmi train {system}`"
            + (f", or of those that come with the workbench: {there}" if there else "")
        )
    return read_checkpoint(path, system=system)


def own_checkpoints(system: str) -> tuple[str, ...]:
    """Return the names of a system's checkpoints that come with the workbench."""
    found = ((name, META.read(path)) for name, path in _own().items())
    return tuple(name for name, meta in found if meta and meta["system"] == system)


def _own() -> dict[str, Path]:
    paths = sorted((resource("data") / "checkpoints").glob("*"))
    return {path.name: path for path in paths if META.at(path).exists()}
