"""Settings of the baselines."""

from collections.abc import Mapping
from typing import ClassVar

from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.systems.config import ChatConfig


class ClosedBookConfig(ChatConfig):
    """The question alone: what the model knows by itself."""

    system: ClassVar[str] = "closed_book"
    main: ClassVar[tuple[str, ...]] = ("model",)
    before: ClassVar[Mapping[str, object]] = {"unparsed": "text"}


class InContextConfig(ClosedBookConfig, RetrievalConfig):
    """Retrieve once with the question, put the evidence in the prompt, answer."""

    system: ClassVar[str] = "in_context"
    main: ClassVar[tuple[str, ...]] = ("model", "retriever", "topk")
