"""Settings of both systems."""

from typing import Annotated, ClassVar

from pydantic import Field

from pmi_kernel.systems.config import CheckpointConfig


class BaselineT5Config(CheckpointConfig):
    """T5 with the context in its input, cut to what it was trained on."""

    system: ClassVar[str] = "baseline_t5"

    checkpoint: str = "baseline-t5-tiny"
    """What answers: baseline-t5-tiny (comes with the workbench), or the folder of a checkpoint, or
    of a training (`pmi train baseline_t5`)."""


class LatentT5Config(CheckpointConfig):
    """A context compressed to a few latent vectors, and a T5 that sees nothing else of it."""

    system: ClassVar[str] = "latent_t5"
    main: ClassVar[tuple[str, ...]] = ("checkpoint", "gate", "num_latents")

    checkpoint: str = "latent-t5-tiny"
    """What answers: latent-t5-tiny or latent-t5-tiny-blind (come with the workbench), or the folder
    of a checkpoint, or of a training (`pmi train latent_t5`)."""
    gate: Annotated[float, Field(ge=-1, le=1)] | None = None
    """How much of the latents the decoder sees; None: as it was learned (tanh of a number). With 0
    it sees nothing of the context."""
    num_latents: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Latents that are used, the first ones; None for all."""
    without: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = ()
    """Paragraphs that are not read, by their rank from 1."""

    @property
    def learns(self) -> bool:
        """See `SystemConfig.learns`: what was read can be another question's context."""
        return True
