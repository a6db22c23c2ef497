"""The baselines: one answer, without or with evidence in the prompt."""

import time
from collections.abc import Generator

from pmi_kernel.actions import ACTION_STOPS, parse_action
from pmi_kernel.config import SystemConfig, stable_seed
from pmi_kernel.engines.base import Engine, Sampling
from pmi_kernel.episode import generation_measures, search_measures
from pmi_kernel.prompts import answer_prompt, short_answer
from pmi_kernel.retrieval import make_retriever, make_step0_query, retrieve
from pmi_kernel.systems.baselines.config import InContextConfig
from pmi_kernel.types import EndReason, Step, StepKind, Task


class ClosedBook:
    """Answers from the question alone."""

    def __init__(self, config: SystemConfig, engine: Engine) -> None:
        self.name = config.system
        self.fingerprint = config.fingerprint()
        self.engine = engine
        self._config = config

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the answer."""
        yield self._answer(task, None)

    def _answer(self, task: Task, evidence: str | None) -> Step:
        config = self._config
        sampling = Sampling(
            max_tokens=config.answer_tokens,
            temperature=config.temperature,
            stop=ACTION_STOPS,
            seed=stable_seed(config.seed, task.id, "answer"),
        )
        prompt = answer_prompt(task.question, evidence, shots=config.shots)
        output = self.engine.generate(prompt, sampling=sampling)
        return Step(
            StepKind.ANSWER,
            short_answer(output.text),
            raw=output.text,
            parse=parse_action(output.text).outcome,
            measures=generation_measures(output, "act"),
            end_reason=EndReason.ANSWERED,
        )


class InContext(ClosedBook):
    """Retrieves once, then answers with the evidence in the prompt."""

    def __init__(self, config: InContextConfig, engine: Engine) -> None:
        super().__init__(config, engine)
        self._retriever = make_retriever(config.retriever)
        self._topk, self._max_chars = config.topk, config.max_chars
        self._first_query = config.first_query

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the search, then the answer."""
        start = time.perf_counter()
        query = self._first_query or make_step0_query(task.question)
        found = retrieve(
            self._retriever, query, task.context, topk=self._topk, max_chars=self._max_chars
        )
        yield Step(
            StepKind.SEARCH,
            query,
            passages=found.passages,
            measures=search_measures(found, start),
        )
        yield self._answer(task, found.text)
