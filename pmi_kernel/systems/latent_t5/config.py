"""Settings of both systems."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.retrieval.config import RetrievalConfig


class T5Config(SystemConfig, RetrievalConfig):
    """What both have in common: a checkpoint, and which paragraphs are read."""

    main: ClassVar[tuple[str, ...]] = ("checkpoint",)

    checkpoint: str = ""
    """What answers: the folder of a checkpoint, or of a training (`pmi train`)."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ..., or auto: CUDA where there is one."""
    retriever: Literal["overlap", "bm25", "given", "corpus"] = "given"
    """Which paragraphs are read: the question's own, as they are given or ranked by overlap or
    bm25; or corpus: passages of an index."""
    topk: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Most paragraphs that are read."""
    max_chars: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000_000
    """Most characters that are read; cut at a sentence end. The checkpoint limits tokens."""

    @property
    def serves(self) -> str:
        """See `SystemConfig.serves`."""
        return self.checkpoint

    def loads(self) -> Mapping[str, object]:
        """See `SystemConfig.loads`."""
        return {"checkpoint": self.checkpoint, "device": self.device}


class BaselineT5Config(T5Config):
    """T5 with the context in its input, cut to what it was trained on."""

    system: ClassVar[str] = "baseline_t5"


class LatentT5Config(T5Config):
    """A context compressed to a few latent vectors, and a T5 that sees nothing else of it."""

    system: ClassVar[str] = "latent_t5"
    main: ClassVar[tuple[str, ...]] = ("checkpoint", "gate", "num_latents")

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
