"""Settings that several systems have: those on a chat engine, and those on a model of their own."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.engines.config import EngineConfig
from pmi_kernel.prompting.config import PromptConfig
from pmi_kernel.retrieval.config import RetrievalConfig


class ChatConfig(SystemConfig, EngineConfig, PromptConfig):
    """What serves, and how it is asked."""

    interactive: ClassVar[Mapping[str, object]] = {"prefix_cache": 2}

    @property
    def serves(self) -> str:
        """See `SystemConfig.serves`."""
        return self.model if self.engine != "scripted" else "scripted engine"

    def loads(self) -> Mapping[str, object]:
        """See `SystemConfig.loads`."""
        return self.model_dump(include=set(EngineConfig.model_fields))


class CheckpointConfig(SystemConfig, RetrievalConfig):
    """A model of the system's own, and which paragraphs it reads: all of them, as given."""

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
