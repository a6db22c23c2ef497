"""The PMI system: search, compress, train, inject, act; one episode top to bottom.

The protocol is MEM1's (https://arxiv.org/abs/2506.15841), made strict: the first search is forced,
every turn is one action, the first action of an output counts and the rest is ignored, and an
output without an action ends the episode.
"""

import re
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from pmi_kernel.actions import ACTION_STOPS, action_regex, parse_action
from pmi_kernel.config import stable_seed
from pmi_kernel.engines.base import Adapter, Engine, Finish, Lessons, Sampling
from pmi_kernel.episode import UNKNOWN, generation_measures, search_measures
from pmi_kernel.memory.lora import LoraConfig, LoraWeights, accumulate
from pmi_kernel.prompts import act_prompt, compress_prompt
from pmi_kernel.recipes import Written, write_lessons
from pmi_kernel.retrieval import Evidence, make_retriever, make_step0_query, retrieve
from pmi_kernel.systems.pmi.config import PmiConfig
from pmi_kernel.types import ActionKind, EndReason, ParseOutcome, Step, StepKind, Task

_GUIDED_CHARS = 100
"""Longest argument that guided decoding allows, and room for its tokens, so that it can close."""
_GUIDED_TOKENS = 4 * _GUIDED_CHARS


@dataclass(slots=True)
class _Memory:
    """What one episode has injected: its weights, and their handle while they are in force."""

    weights: LoraWeights | None = None
    adapter: Adapter | None = None


class PmiSystem:
    """Steps through episodes; holds no state between them, so threads may share it.

    Args:
        config: The settings.
        engine: Serves, trains and injects.

    Raises:
        ConfigError: The engine's model cannot be trained as the settings say.
    """

    def __init__(self, config: PmiConfig, engine: Engine) -> None:
        self.name = config.system
        self.fingerprint = config.fingerprint()
        self.config = config
        self.engine = engine
        self._retriever = make_retriever(config.retriever)
        if config.train_mem:
            is_stacked = config.mem_accumulate == "stack"
            engine.check_lora(
                config.lora(config.seed), num_stacked=config.max_steps - 1 if is_stacked else 1
            )

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the steps of one episode; its memory is taken out whatever happens."""
        memory = _Memory()
        searches: list[tuple[str, str]] = []
        action = Step(StepKind.SEARCH, self._first_query(task))
        try:
            while action.kind is StepKind.SEARCH:
                start = time.perf_counter()
                found = self._retrieve(action.text, task)
                searches.append((action.text, found.text))
                yield replace(
                    action,
                    passages=found.passages,
                    measures={**action.measures, **search_measures(found, start)},
                )
                if len(searches) == self.config.max_steps:
                    action = Step(StepKind.ANSWER, UNKNOWN, end_reason=EndReason.MAX_STEPS)
                else:
                    if self.config.train_mem:
                        yield from self._memorise(task, len(searches), found, memory)
                    action = self._act(task, searches, memory.adapter)
            yield replace(action, measures={**action.measures, **self._detach(memory)})
        finally:
            self._detach(memory)

    def first_lessons(self, task: Task) -> Lessons:
        """Return what the base model makes of the evidence of the forced search."""
        found = self._retrieve(make_step0_query(task.question), task)
        text = self._source(task, 1, found, None).text
        return self._write(task, 1, text, None).lessons if text else ()

    def first_lora(self, task: Task) -> LoraConfig:
        """Return how the memory of those lessons is trained."""
        return self._lora(task, 1)

    def _first_query(self, task: Task) -> str:
        return self.config.first_query or make_step0_query(task.question)

    def _lora(self, task: Task, search: int) -> LoraConfig:
        return self.config.lora(stable_seed(self.config.seed, task.id, search, "lora"))

    def _retrieve(self, query: str, task: Task) -> Evidence:
        config = self.config
        return retrieve(
            self._retriever, query, task.context, topk=config.topk, max_chars=config.max_chars
        )

    def _memorise(
        self, task: Task, search: int, found: Evidence, memory: _Memory
    ) -> Generator[Step, None, None]:
        """Compress, train, inject; an empty snippet ends after the first of the three."""
        source = self._source(task, search, found, memory.adapter)
        yield source
        if not source.text:
            return
        lora = self._lora(task, search)
        written = self._write(task, search, source.text, memory.adapter)
        trained = self.engine.train(written.lessons, lora, adapter=memory.adapter)
        weights = accumulate(memory.weights, trained.weights, lora)
        start = time.perf_counter()
        memory.adapter = self.engine.attach(weights, replaces=memory.adapter)
        memory.weights = weights
        yield Step(
            StepKind.INJECT,
            "\n".join(str(lesson) for lesson in trained.lessons),
            measures={
                **_written_measures(written),
                "train_tokens": trained.num_tokens,
                "train_steps": len(trained.losses_nats),
                **_diverged(trained.losses_nats),
                "attached_bytes": weights.num_bytes,
                "train_s": trained.seconds_s,
                "attach_s": time.perf_counter() - start,
            },
            artifacts={
                "losses_nats": list(trained.losses_nats),
                "rank": weights.rank,
                "delta_norms": trained.weights.norms(),
            },
            adapter=memory.adapter,
        )

    def _source(self, task: Task, search: int, found: Evidence, adapter: Adapter | None) -> Step:
        """What a memory is made of: the snippet, or the evidence as it is."""
        if self.config.mem_source == "evidence":
            return Step(StepKind.COMPRESS, found.text, adapter=adapter)
        return self._compress(task, search, found, adapter)

    def _write(self, task: Task, search: int, text: str, adapter: Adapter | None) -> Written:
        config = self.config
        return write_lessons(
            self.engine,
            text,
            config.mem_recipe,
            adapter=adapter,
            num_lines=config.mem_lines,
            num_rehearsed=config.mem_rehearse,
            shots=config.shots,
            is_question_learned=config.mem_loss == "all",
            temperature=config.temperature,
            seed=stable_seed(config.seed, task.id, search, "write"),
        )

    def _compress(self, task: Task, search: int, found: Evidence, adapter: Adapter | None) -> Step:
        config = self.config
        is_extractive = config.compression == "extractive"
        sampling = Sampling(
            regex=_some_of(found.sentences(task.context)) if is_extractive else None,
            max_tokens=config.snippet_tokens,
            temperature=config.temperature,
            seed=stable_seed(config.seed, task.id, search, "compress"),
        )
        prompt = compress_prompt(task.question, found.text, shots=config.shots)
        output = self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        snippet = output.text.strip()
        return Step(
            StepKind.COMPRESS,
            snippet,
            raw=output.text,
            measures={
                **generation_measures(output, "compress"),
                "empty_snippets": int(not snippet),
                "truncated_snippets": int(output.finish is Finish.LENGTH),
            },
            adapter=adapter,
        )

    def _act(self, task: Task, searches: list[tuple[str, str]], adapter: Adapter | None) -> Step:
        """Ask for the next action: a SEARCH step still to be carried out, or the last step."""
        config = self.config
        is_guided = config.action_decoding == "guided"
        sampling = Sampling(
            max_tokens=_GUIDED_TOKENS if is_guided else config.answer_tokens,
            temperature=config.temperature,
            stop=ACTION_STOPS,
            regex=action_regex(_GUIDED_CHARS) if is_guided else None,
            seed=stable_seed(config.seed, task.id, len(searches), "act"),
        )
        prompt = act_prompt(
            task.question, searches, shots=config.shots, in_prompt=config.evidence != "weights"
        )
        output = self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        action = parse_action(output.text)
        step = Step(
            StepKind.SEARCH,
            action.argument,
            raw=output.text,
            parse=action.outcome,
            measures=generation_measures(output, "act"),
            adapter=adapter,
        )
        if action.outcome is not ParseOutcome.OK:
            end = EndReason.PARSE_FAILURE
            return replace(step, kind=StepKind.ANSWER, text=UNKNOWN, end_reason=end)
        if action.kind is ActionKind.ANSWER:
            return replace(step, kind=StepKind.ANSWER, end_reason=EndReason.ANSWERED)
        return step

    def _detach(self, memory: _Memory) -> dict[str, float]:
        if memory.adapter is None:
            return {}
        adapter, memory.adapter = memory.adapter, None
        start = time.perf_counter()
        self.engine.detach(adapter)
        return {"detach_s": time.perf_counter() - start}


def _diverged(losses_nats: Sequence[float]) -> dict[str, float]:
    """Whether a memory's loss rose, 0 or 1; nothing where there was no step."""
    return {"diverged": int(losses_nats[-1] > losses_nats[0])} if losses_nats else {}


def _written_measures(written: Written) -> dict[str, float]:
    """What making the lessons cost; nothing where they are the text itself."""
    if not written.outputs and not written.num_lines:
        return {}
    costs = [generation_measures(output, "write") for output in written.outputs]
    summed = {key: sum(cost[key] for cost in costs) for key in (costs[0] if costs else ())}
    return {"lines": written.num_lines, **summed, "write_s": written.seconds_s}


def _some_of(sentences: Sequence[str]) -> str:
    """A regex of some of the sentences in their order, with a blank after each."""
    return "".join(f"({re.escape(sentence)} )?" for sentence in sentences)
