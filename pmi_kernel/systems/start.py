"""A start of gradient steps, for the systems that take such steps."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.lora.start import Start
from pmi_kernel.systems.checkpoints import find_checkpoint

OWN = "regrad-smollm2"
"""The start that comes with the workbench, for the embedded model."""


def read_start(name: str) -> tuple[Start, str]:
    """Return a start and the hash of its checkpoint.

    Args:
        name: `regrad-smollm2`, or the folder of a checkpoint or of a training (`pmi train regrad`).

    Raises:
        ConfigError: There is no such checkpoint, or it is torn, altered, or another system's.
    """
    found = find_checkpoint(name, system="regrad")
    return _load(found.folder, found.sha256), found.sha256


def check_model(name: str, start: Start, described: Mapping[str, str]) -> None:
    """Refuse a start of another model than the one that serves.

    Args:
        name: Of the checkpoint.
        start: What it holds.
        described: What the engine says of itself.

    Raises:
        ConfigError: Their weights differ.
    """
    if described["model_hash"] != start.on.model_hash:
        raise ConfigError(
            f"checkpoint {name!r} is of the model {start.on.model!r}, whose weights are not those "
            f"of {described['model']!r}"
        )


@lru_cache(maxsize=4)
def _load(folder: Path, sha256: str) -> Start:
    return Start.load(folder)
