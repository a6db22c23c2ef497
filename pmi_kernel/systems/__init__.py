"""The systems: each a folder of its own, and one line here; none knows another."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pmi_kernel.core.settings import SystemConfig

if TYPE_CHECKING:
    from pmi_kernel.core.system import System


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a system is found, as `module:name`; nothing of it is imported before it is asked for.

    Attributes:
        config: Its config class.
        open: Called with a config, and with what an earlier system has loaded or None, and returns
            the system.
        learner: Called with a learner's config, and returns the learner; None: it learns nothing
            before it is run.
        learner_config: The learner's config class.
    """

    config: str
    open: str
    learner: str | None = None
    learner_config: str | None = None


_HERE = "pmi_kernel.systems"

SYSTEMS: dict[str, Entry] = {
    "pmi": Entry(f"{_HERE}.pmi.config:PmiConfig", f"{_HERE}.pmi.system:PmiSystem"),
    "closed_book": Entry(
        f"{_HERE}.baselines.config:ClosedBookConfig", f"{_HERE}.baselines.system:ClosedBook"
    ),
    "in_context": Entry(
        f"{_HERE}.baselines.config:InContextConfig", f"{_HERE}.baselines.system:InContext"
    ),
    "lexical": Entry(
        f"{_HERE}.lexical.config:LexicalConfig", f"{_HERE}.lexical.system:LexicalSystem"
    ),
    "regrad": Entry(
        f"{_HERE}.regrad.config:RegradConfig",
        f"{_HERE}.regrad.system:RegradSystem",
        learner=f"{_HERE}.regrad.learner:RegradLearner",
        learner_config=f"{_HERE}.regrad.training:RegradTraining",
    ),
    "scratchpad": Entry(
        f"{_HERE}.scratchpad.config:ScratchpadConfig",
        f"{_HERE}.scratchpad.system:ScratchpadSystem",
        learner=f"{_HERE}.scratchpad.learner:ScratchpadLearner",
        learner_config=f"{_HERE}.scratchpad.training:ScratchpadTraining",
    ),
    "latent_t5": Entry(
        f"{_HERE}.latent_t5.config:LatentT5Config",
        f"{_HERE}.latent_t5.system:LatentT5System",
        learner=f"{_HERE}.latent_t5.learner:LatentT5Learner",
        learner_config=f"{_HERE}.latent_t5.training:LatentT5Training",
    ),
    "baseline_t5": Entry(
        f"{_HERE}.latent_t5.config:BaselineT5Config",
        f"{_HERE}.latent_t5.baseline:BaselineT5System",
        learner=f"{_HERE}.latent_t5.learner:BaselineT5Learner",
        learner_config=f"{_HERE}.latent_t5.training:BaselineT5Training",
    ),
    "hmst": Entry(
        f"{_HERE}.hmst.config:HmstConfig",
        f"{_HERE}.hmst.system:HmstSystem",
        learner=f"{_HERE}.hmst.train.stages:open_stage",
        learner_config=f"{_HERE}.hmst.training:HMSTTraining",
    ),
}
"""Every system, by the name that `--system` takes."""


def config_class(name: str) -> type[SystemConfig]:
    """Return the config class of the system called `name`.

    Raises:
        KeyError: There is no such system.
    """
    return imported(SYSTEMS[name].config)


def open_system(config: SystemConfig, loaded: object = None) -> "System":
    """Return the system of a config, ready to answer.

    Args:
        config: Says which system, and how it is set.
        loaded: What another system has loaded (`System.loaded`) under settings that load the same;
            None where it is to load its own.

    Raises:
        ConfigError: Something cannot be loaded, or does not fit.
    """
    return imported(SYSTEMS[config.system].open)(config, loaded)


def imported(place: str) -> Any:
    """Return what is at `module:name`."""
    module, name = place.split(":")
    return getattr(import_module(module), name)
