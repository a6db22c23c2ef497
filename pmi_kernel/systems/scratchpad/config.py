"""Settings of the scratchpad system."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pmi_kernel.engines.models import EMBEDDED
from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.systems.config import ChatConfig


class ScratchpadConfig(ChatConfig, RetrievalConfig):
    """Read all documents, write down the evidence, answer."""

    system: ClassVar[str] = "scratchpad"
    main: ClassVar[tuple[str, ...]] = ("model", "method", "checkpoint", "direct")
    interactive: ClassVar[Mapping[str, object]] = {
        **ChatConfig.interactive,
        "question_first": False,
    }

    method: Literal["zero_shot", "sft", "scratchpad"] = "scratchpad"
    """zero_shot: the model as it is answers at once; sft: one trained to answer at once;
    scratchpad: one trained to write down the evidence first."""
    checkpoint: str = "own"
    """What was trained: own (of smollm2-135m the checkpoint of this method that comes with
    the workbench; any other model is as it is), one of `pmi train scratchpad` (a folder; of a
    training its best one), or none: the model as it is."""
    retriever: Literal["overlap", "bm25", "given", "corpus"] = "given"
    """Which documents are read: the question's own as they are given, or ranked by overlap or
    bm25; or corpus: passages of an index."""
    topk: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Most documents that are read."""
    max_chars: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000_000
    """Most characters that are read; cut at a sentence end."""
    max_new_tokens: Annotated[int, Field(ge=1, le=65_536)] = 512
    """Most new tokens of evidence and answer together."""
    last_answer_only: bool = True
    """The answer is what follows the last answer mark; else all that was written."""
    question_first: bool = True
    """Put the question before the documents as well as after them. Without it the documents are
    read once for all questions about them."""
    direct: bool = False
    """Answer without the evidence as well, before it is written."""
    order: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = ()
    """Documents that are shown, by their rank from 1, in this order; none: all as found."""
    evidence: Annotated[str, Field(max_length=10_000)] | None = None
    """Take this as the evidence, in place of what the model would write."""

    def trained_for(self, model: str) -> str:
        """Return the name of the checkpoint of a model; empty where that is as it is."""
        if self.checkpoint == "none" or self.method == "zero_shot":
            return ""
        if self.checkpoint == "own":
            return f"{self.method}-smollm2" if model == EMBEDDED else ""
        return self.checkpoint
