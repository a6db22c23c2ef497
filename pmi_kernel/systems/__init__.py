"""The systems: each a package with a `config.py` that builds it; none knows another."""

from importlib import import_module
from typing import cast

from pmi_kernel.config import SystemConfig

_HOMES = {
    "pmi": "pmi_kernel.systems.pmi.config:PmiConfig",
    "closed_book": "pmi_kernel.systems.baselines.config:ClosedBookConfig",
    "in_context": "pmi_kernel.systems.baselines.config:InContextConfig",
}

NAMES = tuple(_HOMES)
"""Every system, by the name that `--system` takes."""


def config_class(name: str) -> type[SystemConfig]:
    """Return the config class of the system called `name`.

    Raises:
        KeyError: There is no such system.
    """
    module, attribute = _HOMES[name].split(":")
    return cast("type[SystemConfig]", getattr(import_module(module), attribute))
