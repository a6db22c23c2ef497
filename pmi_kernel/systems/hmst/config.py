"""Settings of the hierarchy as a system."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pmi_kernel.core.settings import Settings
from pmi_kernel.systems.config import CheckpointConfig

_Forced = Literal["decided", "yes", "no"]
_Count = Annotated[int, Field(ge=0, le=100_000)]
_FORCED = {"decided": None, "yes": True, "no": False}


class Asking(Settings):
    """How questions are answered."""

    decide: Literal["controller", "always", "never"] = "controller"
    """Who decides what a question is worth: the controller, or all of everything, or nothing."""
    after_no: Literal["retry", "unknown", "keep"] = "retry"
    """Where the critic says no: one more try with all memories and then unknown; unknown at once;
    or keep the answer."""
    least_probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Below this the critic's verdict counts as no."""
    episodic_entries: Annotated[int, Field(ge=1, le=1_000)] = 2
    """Interactions that are fetched where the last ones are looked at."""
    max_new_tokens: Annotated[int, Field(ge=1, le=4_096)] = 24
    """Most tokens of an answer."""


class HmstConfig(CheckpointConfig, Asking):
    """Tell the memories the paragraphs, then ask without them."""

    system: ClassVar[str] = "hmst"
    main: ClassVar[tuple[str, ...]] = ("checkpoint", "decide", "keep_recent", "after_no")

    keep_recent: _Count = 4
    """Paragraphs that stay among the last interactions; those told before are consolidated."""
    num_layers: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Blocks of the base that are run, whatever is decided."""
    episodic: _Forced = "decided"
    """Whether the last interactions are looked at, whatever is decided."""
    num_entries: _Count | None = None
    """Semantic entries that are fetched, whatever is decided."""
    experts: tuple[_Count, ...] = ()
    """Experts that may be chosen, from 0, whatever is decided; none named: as decided."""
    verify: _Forced = "decided"
    """Whether the critic checks the answer, whatever is decided."""
    without_tier: tuple[Literal["episodic", "semantic"], ...] = ()
    """Tiers that are emptied before the question is asked."""

    @property
    def learns(self) -> bool:
        """See `SystemConfig.learns`: what is told can be another question's paragraphs."""
        return True

    @property
    def forced(self) -> dict[str, object]:
        """Decisions that are taken so in any case."""
        named = {
            "num_layers": self.num_layers,
            "episodic": _FORCED[self.episodic],
            "num_entries": self.num_entries,
            "experts": self.experts or None,
            "verify": _FORCED[self.verify],
        }
        return {name: value for name, value in named.items() if value is not None}
