"""Settings of the lexical system."""

from typing import ClassVar

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.retrieval.config import RetrievalConfig


class LexicalConfig(SystemConfig, RetrievalConfig):
    """Retrieve, and answer with words of the best matching sentence, by plain rules; no model."""

    system: ClassVar[str] = "lexical"
    main: ClassVar[tuple[str, ...]] = ("retriever", "topk")

    @property
    def learns(self) -> bool:
        """See `SystemConfig.learns`."""
        return True
