"""The baselines: one answer, without or with evidence in the prompt."""

from collections.abc import Generator, Mapping

from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import Step
from pmi_kernel.engines.base import Engine
from pmi_kernel.retrieval.foreseen import first_search
from pmi_kernel.systems.baselines.config import ClosedBookConfig, InContextConfig
from pmi_kernel.systems.chat import ChatSystem


class ClosedBook(ChatSystem[ClosedBookConfig]):
    """Answers from the question alone."""

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the answer."""
        yield self._answer(task, None)


class InContext(ChatSystem[InContextConfig]):
    """Retrieves once, then answers with the evidence in the prompt."""

    def __init__(self, config: InContextConfig, engine: Engine | None = None) -> None:
        self._retriever = config.build_retriever()
        super().__init__(config, engine)

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        return {**super().describe(), **self._retriever.describe()}

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the search, then the answer."""
        found, search = first_search(self.config, task, self._retriever)
        yield search
        yield self._answer(task, found.text or None)
