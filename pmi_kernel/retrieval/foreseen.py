"""The first search of an episode, which needs no model: it can be shown while one is loading."""

from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import Step, StepKind
from pmi_kernel.retrieval import make_retriever, make_step0_query, retrieve
from pmi_kernel.retrieval.config import RetrievalConfig


def foreseen(config: RetrievalConfig, task: Task) -> Step:
    """Return the search that an episode under these settings will begin with, without measures."""
    query = config.first_query or make_step0_query(task.question)
    found = retrieve(
        make_retriever(config.retriever),
        query,
        task.context,
        topk=config.topk,
        max_chars=config.max_chars,
    )
    return Step(StepKind.SEARCH, query, passages=found.passages)
