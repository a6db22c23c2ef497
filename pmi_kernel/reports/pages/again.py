"""How an episode is run again: as a shell command, and as a notebook cell up to a step."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from pmi_kernel.core.errors import PmiError
from pmi_kernel.core.settings import SystemConfig, words
from pmi_kernel.data.derived import only
from pmi_kernel.systems import SYSTEMS, config_class


@dataclass(frozen=True, slots=True)
class Again:
    """What an episode was run with.

    Attributes:
        config: The system's settings.
        source: The data.
        is_probed: Whether was measured around its injections.
    """

    config: SystemConfig
    source: str
    is_probed: bool = False

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> "Again | None":
        """Return what a run's record tells; None where it is none of today's systems."""
        if record is None or record["system"] not in SYSTEMS:
            return None
        try:
            config = config_class(record["system"]).recorded(record["config"])
        except PmiError:
            return None
        return cls(config, record["data_source"], record["probe"])

    def command(self, id_: str) -> str:
        """Return the shell command that runs the episode."""
        probe = ["--probe"] if self.is_probed else []
        said = ["pmi", "run", "--data", only(id_, self.source), "--system", self.config.system]
        return shlex.join([*said, *words(self.config), *probe, "--out", "runs/again"])

    def cell(self, id_: str) -> tuple[str, str]:
        """Return the code up to a step: what stands before the number of steps, and after it."""
        kind, settings = type(self.config), self.config.model_dump(exclude_defaults=True)
        before = "\n".join(
            (
                "from pmi_kernel import Episode, load_examples, open_system",
                f"from {kind.__module__} import {kind.__name__}",
                "",
                f"[example] = load_examples({only(id_, self.source)!r})",
                f"config = {kind.__name__}({_arguments(settings)})",
                "episode = Episode(open_system(config), example)",
                "for _ in range(",
            )
        )
        return before, "):\n    step = episode.step()\nstep"


def _arguments(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={pformat(value)}" for name, value in settings.items())
