"""The first search of an episode, which needs no model: it can be shown while one is loading."""

import time
from dataclasses import replace

from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import Step, StepKind
from pmi_kernel.retrieval import Evidence, Retriever, make_step0_query, retrieve
from pmi_kernel.retrieval.config import RetrievalConfig


def first_search(
    config: RetrievalConfig, task: Task, retriever: Retriever
) -> tuple[Evidence, Step]:
    """Return what an episode under these settings begins with, and the step that tells of it.

    Args:
        config: The settings.
        task: What is asked.
        retriever: That of the settings (`RetrievalConfig.build_retriever`).
    """
    began = time.perf_counter()
    query = config.first_query or make_step0_query(task.question)
    found = retrieve(retriever, query, task.context, topk=config.topk, max_chars=config.max_chars)
    measures = found.measures(time.perf_counter() - began)
    return found, Step(StepKind.SEARCH, query, passages=found.passages, measures=measures)


def foreseen(config: RetrievalConfig, task: Task) -> Step:
    """Return the search that an episode under these settings will begin with, without measures."""
    _, step = first_search(config, task, config.build_retriever())
    return replace(step, measures={})
