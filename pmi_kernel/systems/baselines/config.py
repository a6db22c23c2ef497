"""Settings of the baselines."""

from typing import ClassVar

from pmi_kernel.config import RetrievalConfig, SystemConfig
from pmi_kernel.engines.base import Engine
from pmi_kernel.episode import System


class ClosedBookConfig(SystemConfig):
    """The question alone: what the model knows by itself."""

    system: ClassVar[str] = "closed_book"

    def build(self, engine: Engine | None = None) -> System:
        """See `SystemConfig.build`."""
        from pmi_kernel.systems.baselines.system import ClosedBook

        return ClosedBook(self, engine or self.build_engine())


class InContextConfig(SystemConfig, RetrievalConfig):
    """Retrieve once with the question, put the evidence in the prompt, answer."""

    system: ClassVar[str] = "in_context"

    def build(self, engine: Engine | None = None) -> System:
        """See `SystemConfig.build`."""
        from pmi_kernel.systems.baselines.system import InContext

        return InContext(self, engine or self.build_engine())
