"""Settings of the retrievable-gradients system."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.systems.config import ChatConfig


class RegradConfig(ChatConfig, RetrievalConfig):
    """Retrieve passages, add their gradients to a meta-trained start, answer from the weights."""

    system: ClassVar[str] = "regrad"
    places: ClassVar[frozenset[str]] = frozenset({"store_dir"})
    main: ClassVar[tuple[str, ...]] = ("model", "checkpoint", "retriever", "topk", "gamma")

    checkpoint: str = "regrad-smollm2"
    """The start: regrad-smollm2 (comes with the workbench), or a folder: a checkpoint, or a
    training's, of which the best one is taken."""
    gamma: Annotated[float, Field(ge=-1_000, le=1_000)] = 1.0
    """How much of the step is taken; 0 is the start itself."""
    blind_context: bool = True
    """Ask without the passages in the prompt; else with them, and with their gradients."""
    icl: bool = False
    """Ask the base model, without a memory: what the passages in the prompt alone are worth."""
    store: Literal["none", "float32", "bfloat16", "int8"] = "none"
    """Keep each passage's gradient in the cache in this format, and look it up from then on."""
    store_dir: str = ""
    """Folder that gradients are stored in; by default one of the start's own, in the cache."""
    attribute: bool = False
    """After the answer, score it with each passage alone and with each left out: which answered?"""
    without: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = ()
    """Passages that are found and not learned, by rank (1 for the best)."""

    @model_validator(mode="after")
    def _attributes_with_several_memories(self) -> Self:
        if self.attribute and self.strategy != "hot":
            raise ValueError("attribute needs strategy hot: several memories at once")
        return self

    @model_validator(mode="after")
    def _stores_in_a_format(self) -> Self:
        if self.store_dir and self.store == "none":
            raise ValueError("store_dir is where gradients are stored: name a format with store")
        return self

    @property
    def learns(self) -> bool:
        """See `SystemConfig.learns`."""
        return not self.icl
