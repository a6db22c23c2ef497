"""Settings of the systems that stand on a chat engine."""

from collections.abc import Mapping
from typing import ClassVar

from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.engines.config import EngineConfig
from pmi_kernel.prompting.config import PromptConfig


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
