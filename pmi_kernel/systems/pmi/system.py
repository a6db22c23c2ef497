"""The PMI system: search, compress, train, inject, act; one episode top to bottom.

The protocol is MEM1's (https://arxiv.org/abs/2506.15841), made strict: the first search is forced,
every turn is one action, the first action of an output counts and the rest is ignored, and an
output without an action ends the episode.
"""

import re
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from pmi_kernel.core.errors import EngineError
from pmi_kernel.core.settings import stable_seed
from pmi_kernel.core.system import Field, FieldKind
from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import (
    UNKNOWN,
    ActionKind,
    Change,
    EndReason,
    Step,
    StepKind,
)
from pmi_kernel.engines.base import Adapter, Engine, Finish, Lessons, Sampling
from pmi_kernel.engines.injected import Injected, injected
from pmi_kernel.engines.proxy import TrainsOn
from pmi_kernel.engines.tape import ChangedTraining, said
from pmi_kernel.lora.config import LoraConfig, accumulate
from pmi_kernel.lora.start import Start
from pmi_kernel.prompting.actions import ACTION_STOPS, action_regex, parse_action
from pmi_kernel.prompting.answer import most_tokens
from pmi_kernel.prompting.messages import copied
from pmi_kernel.retrieval import Evidence, make_step0_query, retrieve
from pmi_kernel.systems.branch import Altered
from pmi_kernel.systems.chat import GUIDED_CHARS, GUIDED_TOKENS, ChatSystem
from pmi_kernel.systems.pmi.config import PmiConfig
from pmi_kernel.systems.pmi.prompts import act_prompt, compress_prompt
from pmi_kernel.systems.pmi.recipes import Written, write_lessons
from pmi_kernel.systems.pmi.recipes.writer import Writer
from pmi_kernel.systems.start import check_model, read_start

_LORA_FIELDS = {"mem_steps": "steps", "mem_lr": "lr"}
"""Settings that can be others at one injection, and what they are in a `LoraConfig`."""


class PmiSystem(ChatSystem[PmiConfig]):
    """Steps through episodes; holds no state between them, so threads may share it.

    Args:
        config: The settings.
        engine: Serves, trains and injects; built from `config` where None.

    Raises:
        ConfigError: The engine cannot be built, or its model cannot be trained as the settings say.
    """

    def __init__(self, config: PmiConfig, engine: Engine | None = None) -> None:
        self._retriever = config.build_retriever()
        if engine is None and config.train_mem and config.engine != "scripted":
            from pmi_kernel.engines.loading import check_before_loading

            if not config.mem_start:
                check_before_loading(config.model, config.lora(config.seed))
        super().__init__(config, engine)
        self._start: Start | None = None
        described = self.engine.describe()
        if config.train_mem and config.mem_start and described["model"] != "scripted":
            self._start, self._start_sha256 = read_start(config.mem_start)
            check_model(config.mem_start, self._start, described)
        if config.train_mem:
            is_stacked = config.mem_accumulate == "stack"
            lora = config.lora(config.seed, self._start)
            num_stacked = config.max_steps - 1 if is_stacked and not lora.is_continued else 1
            self.engine.check_lora(lora, num_stacked=num_stacked)

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        described = super().describe()
        hashed = {"mem_start_sha256": self._start_sha256} if self._start else {}
        return {**described, **hashed, **self._retriever.describe()}

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the steps of one episode; its memory is taken out whatever happens."""
        searches: list[tuple[str, str]] = []
        action = Step(StepKind.SEARCH, self._first_query(task))
        with injected(self.engine) as memory:
            while action.kind == StepKind.SEARCH:
                start = time.perf_counter()
                found = self._retrieve(action.text, task)
                searches.append((action.text, found.text))
                action = replace(
                    action,
                    passages=found.passages,
                    measures={**action.measures, **found.measures(time.perf_counter() - start)},
                )
                if len(searches) == self.config.max_steps:
                    yield action
                    action = Step(StepKind.ANSWER, UNKNOWN, end_reason=EndReason.MAX_STEPS)
                else:
                    yield from self._memorised(task, len(searches), action, found, memory)
                    action = self._act(task, searches, memory.adapter)
            yield replace(action, measures={**action.measures, **_take_out(memory)}, state=None)

    # -- what it learns -----------------------------------------------------------------------

    def first_lessons(self, task: Task) -> Lessons:
        """Return what the base model makes of the evidence of the first search; maybe nothing."""
        found = self._retrieve(self._first_query(task), task)
        if self.config.mem_source == "evidence":
            text = found.text
        else:
            text = self._compress(task, 1, found, None).text
        return self._write(task, 1, text, None).lessons if text else ()

    def first_lora(self, task: Task) -> LoraConfig:
        """Return how the memory of those lessons is trained."""
        return self._lora(task, 1)

    def misled_by(self, task: Task) -> "PmiSystem":
        """See `Misleads.misled_by`."""
        lessons = self.first_lessons(task)
        if not lessons:
            raise EngineError(f"the snippet of {task.id!r} is empty")
        return PmiSystem(self.config, TrainsOn(self.engine, lessons))

    @contextmanager
    def mislearned(self, task: Task, state: object = None) -> Iterator[object]:
        """See `Misleads.mislearned`."""
        below = cast("Adapter | None", state)
        if self.engine.is_exclusive and below is not None:
            yield None
            return
        lessons, lora = self.first_lessons(task), self.first_lora(task)
        if not lessons:
            yield None
            return
        trained = self.engine.train(lessons, lora, adapter=below)
        weights = accumulate(below.weights if below else None, trained.weights, lora)
        with injected(self.engine, weights) as memory:
            yield memory.adapter

    # -- changed at a step --------------------------------------------------------------------

    def changes(self, step: Step) -> tuple[Field, ...]:
        """See `Changes.changes`."""
        config, fields = self.config, list(super().changes(step))
        if step.kind == StepKind.COMPRESS:
            label = "Inject this snippet instead"
            fields.append(Field("snippet", FieldKind.TEXT, label, step.text, said="edited snippet"))
        if config.train_mem and step.kind != StepKind.ANSWER:
            number, flag, task = FieldKind.NUMBER, FieldKind.FLAG, FieldKind.TASK
            fields += [
                *(
                    Field(name, number, name, getattr(config, name), said=f"{name} {{}}")
                    for name in _LORA_FIELDS
                ),
                Field("no_injection", flag, "…without injection", False, said="no injection"),
                Field(
                    "wrong_passage",
                    task,
                    "…with the wrong passage",
                    None,
                    said="wrong passage injected",
                ),
            ]
        return tuple(fields)

    def altered(self, config: PmiConfig, step: Step, changes: Mapping[str, object]) -> Altered:
        """See `Repeatable.altered`."""
        altered = super().altered(config, step, changes)
        numbers = {name: changes[name] for name in _LORA_FIELDS if name in changes}
        config.but(**numbers)
        lessons = None
        if (other := changes.get("wrong_passage")) is not None:
            lessons = self.first_lessons(cast("Task", other))
            if not lessons:
                raise ValueError("the other question's snippet is empty")
        snippet = changes.get("snippet")
        return replace(
            altered,
            said=altered.said if snippet is None else (*altered.said, said(str(snippet))),
            training=ChangedTraining(
                lessons=lessons,
                is_injected=not changes.get("no_injection"),
                lora={_LORA_FIELDS[name]: value for name, value in numbers.items()},
            ),
        )

    # -- the parts of a step ------------------------------------------------------------------

    def _first_query(self, task: Task) -> str:
        return self.config.first_query or make_step0_query(task.question)

    def _lora(self, task: Task, search: int) -> LoraConfig:
        seed = stable_seed(self.config.seed, task.id, search, "lora")
        return self.config.lora(seed, self._start)

    def _retrieve(self, query: str, task: Task) -> Evidence:
        config = self.config
        return retrieve(
            self._retriever, query, task.context, topk=config.topk, max_chars=config.max_chars
        )

    def _memorised(
        self, task: Task, search: int, found_by: Step, found: Evidence, memory: Injected
    ) -> Generator[Step, None, None]:
        """The search, then compress, train and inject, as far as there is something to learn."""
        config = self.config
        text = found.text if config.train_mem and config.mem_source == "evidence" else ""
        yield replace(found_by, change=Change.NEXT if text else None)
        if config.train_mem and config.mem_source == "snippet":
            compressed = self._compress(task, search, found, memory.adapter)
            text = compressed.text
            yield replace(compressed, change=Change.NEXT if text else None)
        if not text:
            return
        lora = self._lora(task, search)
        written = self._write(task, search, text, memory.adapter)
        trained = self.engine.train(written.lessons, lora, adapter=memory.adapter)
        start = time.perf_counter()
        adapter = memory.add(trained.weights, lora)
        yield Step(
            StepKind.INJECT,
            "\n".join(str(lesson) for lesson in trained.lessons),
            measures={
                **_written_measures(written),
                "train_tokens": trained.num_tokens,
                "train_steps": len(trained.losses_nats),
                **_diverged(trained.losses_nats),
                "attached_bytes": adapter.weights.num_bytes,
                "train_s": trained.seconds_s,
                "attach_s": time.perf_counter() - start,
            },
            artifacts={
                "losses_nats": list(trained.losses_nats),
                "rank": adapter.weights.rank,
                "delta_norms": trained.weights.norms(),
            },
            change=Change.MADE,
            state=adapter,
        )

    def _write(self, task: Task, search: int, text: str, adapter: Adapter | None) -> Written:
        config = self.config
        writer = Writer(
            self.engine,
            adapter,
            num_lines=config.mem_lines,
            shots=config.shots,
            is_question_learned=config.mem_loss == "all",
            temperature=config.temperature,
            seed=stable_seed(config.seed, task.id, search, "write"),
        )
        return write_lessons(writer, text, config.mem_recipe, config.mem_rehearse)

    def _compress(self, task: Task, search: int, found: Evidence, adapter: Adapter | None) -> Step:
        config = self.config
        is_extractive = config.compression == "extractive"
        sampling = Sampling(
            regex=_some_of(found.sentences()) if is_extractive else None,
            max_tokens=config.snippet_tokens,
            temperature=config.temperature,
            seed=stable_seed(config.seed, task.id, search, "compress"),
        )
        prompt = compress_prompt(task.question, found.text, task.form, shots=config.shots)
        output = self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        snippet = output.text.strip()
        return Step(
            StepKind.COMPRESS,
            snippet,
            raw=output.text,
            measures={
                **output.measures("compress"),
                "empty_snippets": int(not snippet),
                "truncated_snippets": int(output.finish is Finish.LENGTH),
            },
            state=adapter,
            prompt=copied(prompt),
        )

    def _act(self, task: Task, searches: list[tuple[str, str]], adapter: Adapter | None) -> Step:
        """Ask for the next action: a SEARCH step still to be carried out, or the last step."""
        config, form = self.config, task.form
        is_guided = config.action_decoding == "guided"
        most = GUIDED_TOKENS if is_guided else config.answer_tokens
        sampling = Sampling(
            max_tokens=most_tokens(form, most),
            temperature=config.temperature,
            stop=ACTION_STOPS,
            regex=action_regex(GUIDED_CHARS, form) if is_guided else None,
            seed=stable_seed(config.seed, task.id, len(searches), "act"),
        )
        prompt = act_prompt(
            task.question,
            searches,
            form,
            shots=config.shots,
            in_prompt=config.evidence != "weights",
        )
        output = self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        action = parse_action(output.text)
        step = Step(
            StepKind.SEARCH,
            action.argument,
            raw=output.text,
            parse=action.outcome,
            measures=output.measures("act"),
            state=adapter,
            prompt=copied(prompt),
        )
        if action.kind is ActionKind.SEARCH:
            return step
        text, outcome, end = self._ending(form, output.text, action)
        return replace(step, kind=StepKind.ANSWER, text=text, parse=outcome, end_reason=end)


def _take_out(memory: Injected) -> dict[str, float]:
    """Take what is in force out, and return what that cost."""
    if memory.adapter is None:
        return {}
    start = time.perf_counter()
    memory.take_out()
    return {"detach_s": time.perf_counter() - start}


def _diverged(losses_nats: Sequence[float]) -> dict[str, float]:
    """Whether a memory's loss rose, 0 or 1; nothing where there was no step."""
    return {"diverged": int(losses_nats[-1] > losses_nats[0])} if losses_nats else {}


def _written_measures(written: Written) -> dict[str, float]:
    """What making the lessons cost; nothing where they are the text itself."""
    if not written.outputs and not written.num_lines:
        return {}
    costs = [output.measures("write") for output in written.outputs]
    summed = {key: sum(cost[key] for cost in costs) for key in (costs[0] if costs else ())}
    return {"lines": written.num_lines, **summed, "write_s": written.seconds_s}


def _some_of(sentences: Sequence[str]) -> str:
    """A regex of some of the sentences in their order, with a blank after each."""
    return "".join(f"({re.escape(sentence)} )?" for sentence in sentences)
