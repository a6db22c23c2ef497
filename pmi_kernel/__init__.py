"""PMI Workbench: parametric memory online injection, stepped through or run as a batch.

The names below are imported on first use, so that `import pmi_kernel` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from pmi_kernel.core.version import __version__

if TYPE_CHECKING:
    from pmi_kernel.core.errors import PmiError
    from pmi_kernel.data import load_examples
    from pmi_kernel.episodes.episode import Episode
    from pmi_kernel.jobs import Job
    from pmi_kernel.systems import open_system
    from pmi_kernel.systems.baselines.config import ClosedBookConfig, InContextConfig
    from pmi_kernel.systems.pmi.config import PmiConfig

__all__ = [
    "ClosedBookConfig",
    "Episode",
    "InContextConfig",
    "Job",
    "PmiConfig",
    "PmiError",
    "__version__",
    "load_examples",
    "open_system",
]

_HOMES = {
    "load_examples": "pmi_kernel.data",
    "open_system": "pmi_kernel.systems",
    "Episode": "pmi_kernel.episodes.episode",
    "Job": "pmi_kernel.jobs",
    "PmiError": "pmi_kernel.core.errors",
    "ClosedBookConfig": "pmi_kernel.systems.baselines.config",
    "InContextConfig": "pmi_kernel.systems.baselines.config",
    "PmiConfig": "pmi_kernel.systems.pmi.config",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
