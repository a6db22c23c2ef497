"""What the systems on a chat engine have in common: how they are asked, repeated and closed."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pmi_kernel.core import progress
from pmi_kernel.core.answers import AnswerForm
from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.settings import stable_seed
from pmi_kernel.core.system import Field, FieldKind, Question, Reply
from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import (
    UNKNOWN,
    Action,
    ActionKind,
    EndReason,
    ParseOutcome,
    Step,
    StepKind,
)
from pmi_kernel.engines.base import Adapter, Engine, Sampling
from pmi_kernel.engines.compute import seed_everything
from pmi_kernel.engines.tape import said
from pmi_kernel.prompting.actions import ACTION_STOPS, answer_regex, parse_action
from pmi_kernel.prompting.answer import answer_prompt, most_tokens, short_answer
from pmi_kernel.prompting.messages import Message, Prompt, copied
from pmi_kernel.prompting.rewording import reword_prompt
from pmi_kernel.prompting.shots import MAX_SHOTS
from pmi_kernel.systems.branch import Altered, ChatBranch
from pmi_kernel.systems.config import ChatConfig

if TYPE_CHECKING:
    import numpy as np

Config = TypeVar("Config", bound=ChatConfig)
Said = TypeVar("Said")

GUIDED_CHARS = 100
"""Longest argument that guided decoding allows, and room for its tokens, so that it can close."""
GUIDED_TOKENS = 4 * GUIDED_CHARS

_OPEN, _CLOSE = "<answer>", "</answer>"
_CALLERS = 16
"""Questions asked at once."""
_MAX_REPHRASINGS = 3
_REPHRASING_TOKENS = 40


class ChatSystem(ABC, Generic[Config]):
    """A system whose steps are what a chat engine says; see `System` and `Asks`.

    Args:
        config: The settings.
        engine: Serves; built from `config` where None.

    Raises:
        ConfigError: The engine cannot be built.
    """

    def __init__(self, config: Config, engine: Engine | None = None) -> None:
        self.config = config
        if engine is None:
            engine = config.build_engine()
            if config.engine != "scripted":
                seed_everything(config.seed)
        self.engine = engine
        self.loaded: object = self.engine
        self.max_concurrency = 1 if self.engine.is_exclusive else None

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        described = self.engine.describe()
        is_exact = described.get("dtype") == "float32"
        is_alone = self.config.max_batch == 1 or self.config.engine == "scripted"
        invariant = "yes" if is_alone else "to float32 rounding" if is_exact else "no"
        return {**described, "batch_invariant": invariant}

    def close(self) -> None:
        """See `System.close`."""
        self.engine.close()

    @abstractmethod
    def steps(self, task: Task) -> Generator[Step, None, None]:
        """See `System.steps`."""

    # -- the answer ---------------------------------------------------------------------------

    def _answer(self, task: Task, evidence: str | None) -> Step:
        """The step that asks for the answer, with or without evidence in the prompt."""
        config, form = self.config, task.form
        is_guided = config.action_decoding == "guided"
        most = GUIDED_TOKENS if is_guided else config.answer_tokens
        sampling = Sampling(
            max_tokens=most_tokens(form, most),
            temperature=config.temperature,
            stop=ACTION_STOPS,
            regex=answer_regex(GUIDED_CHARS, form) if is_guided else None,
            seed=stable_seed(config.seed, task.id, "answer"),
        )
        prompt = answer_prompt(task.question, evidence, form, shots=config.shots)
        output = self.engine.generate(prompt, sampling=sampling)
        action = parse_action(output.text)
        if action.kind is ActionKind.SEARCH:
            action = Action(None, "", ParseOutcome.NO_ACTION)
        text, outcome, end = self._ending(form, output.text, action)
        return Step(
            StepKind.ANSWER,
            text,
            raw=output.text,
            parse=outcome,
            measures=output.measures("act"),
            end_reason=end,
            prompt=copied(prompt),
        )

    def _ending(
        self, form: AnswerForm, output: str, action: Action
    ) -> tuple[str, ParseOutcome, EndReason]:
        """The answer, how reading it ended, and why the episode does.

        What is no answer that the question admits counts by the run's own rule for what cannot be
        parsed.
        """
        outcome = action.outcome
        if action.kind is ActionKind.ANSWER:
            answer = form.read(action.argument)
            if answer is not None:
                return answer, outcome, EndReason.ANSWERED
            outcome = ParseOutcome.NOT_ALLOWED
        if self.config.unparsed == "text":
            told = short_answer(output)
            return form.read(told) or told, outcome, EndReason.ANSWERED
        return UNKNOWN, outcome, EndReason.PARSE_FAILURE

    # -- changed at a step --------------------------------------------------------------------

    def changes(self, step: Step) -> tuple[Field, ...]:
        """See `Changes.changes`: the query of a search."""
        if step.kind != StepKind.SEARCH:
            return ()
        kind, label = FieldKind.LINE, "Search for this instead"
        return (Field("query", kind, label, step.text, said="query “{}”"),)

    def branch(self) -> ChatBranch:
        """See `Changes.branch`."""
        return ChatBranch(self, self.config)

    def altered(self, config: Config, step: Step, changes: Mapping[str, object]) -> Altered:
        """See `Repeatable.altered`."""
        query = changes.get("query")
        if query is None:
            return Altered(config)
        if not str(query).strip():
            raise ValueError("the query is empty")
        if step.raw:
            return Altered(config, (said(f"<search>{query}</search>"),))
        return Altered(config.but(first_query=query))

    # -- asked outside an episode -------------------------------------------------------------

    def ask(self, questions: Sequence[Question], state: object = None) -> list[Reply]:
        """See `Asks.ask`."""
        adapter = cast("Adapter | None", state)
        prompts = [
            answer_prompt(one.text, one.evidence, one.form, shots=MAX_SHOTS if one.gold else 1)
            for one in questions
        ]
        scores = at_once(
            [
                partial(self._score_gold, prompt, one.gold, adapter)
                for prompt, one in zip(prompts, questions, strict=True)
                if one.gold
            ]
        )
        outputs = at_once(
            [
                partial(
                    self.engine.generate,
                    prompt,
                    adapter=adapter,
                    sampling=Sampling(
                        max_tokens=most_tokens(one.form, 32 if one.gold else 16), stop=ACTION_STOPS
                    ),
                )
                for prompt, one in zip(prompts, questions, strict=True)
            ]
        )
        scored = iter(scores)
        return [
            Reply(short_answer(output.text), next(scored) if one.gold else None)
            for one, output in zip(questions, outputs, strict=True)
        ]

    def reword(self, question: str) -> tuple[str, ...]:
        """See `Asks.reword`; the base model writes."""
        sampling = Sampling(
            regex=rf"([A-Z][^\n?]{{8,160}}\?\n){{1,{_MAX_REPHRASINGS}}}",
            max_tokens=_MAX_REPHRASINGS * _REPHRASING_TOKENS,
        )
        text = self.engine.generate(reword_prompt(question), sampling=sampling).text
        lines = [line.strip() for line in text.splitlines() if line.strip().endswith("?")]
        found = {normalize_answer(line): line for line in lines}
        found.pop(normalize_answer(question), None)
        return tuple(found.values())[:_MAX_REPHRASINGS]

    def read(self, question: str, reply: str, state: object = None) -> tuple[float, ...]:
        """See `Asks.read`."""
        adapter = cast("Adapter | None", state)
        return self.engine.score(_plain(question), reply, adapter=adapter).logprobs_nats

    def next_tokens(
        self, texts: Sequence[tuple[str, str]], state: object = None
    ) -> "list[np.ndarray]":
        """See `Asks.next_tokens`."""
        adapter = cast("Adapter | None", state)
        return at_once(
            [
                partial(self.engine.distributions, _plain(question), reply, adapter=adapter)
                for question, reply in texts
            ]
        )

    def _score_gold(self, prompt: Prompt, answer: str, adapter: Adapter | None) -> GoldScore:
        """The answer's log-probability after a prompt, token by token, within its tags."""
        score = self.engine.score(prompt, f"{_OPEN}{answer}{_CLOSE}", adapter=adapter)
        inner = _within_tags(score.tokens)
        return GoldScore(score.tokens[inner], score.logprobs_nats[inner])


def _plain(question: str) -> Prompt:
    return (Message("user", question),)


def at_once(calls: Sequence[Callable[[], Said]]) -> list[Said]:
    """Return what the calls return, made together so that an engine can batch them.

    Where one fails, or an interrupt comes, the others are stopped.
    """
    with progress.stoppable() as watch, ThreadPoolExecutor(_CALLERS) as pool:
        futures = [pool.submit(progress.carried(call)) for call in calls]
        try:
            return [future.result() for future in futures]
        except BaseException:
            watch.stop()
            raise


def _within_tags(tokens: Sequence[str]) -> slice:
    """Which tokens of a tagged answer hold some of the answer itself."""

    def num_within(tokens: Iterable[str], tag: str) -> int:
        ends = itertools.accumulate(len(token) for token in tokens)
        return sum(1 for _ in itertools.takewhile(lambda end: end <= len(tag), ends))

    last = len(tokens) - num_within(reversed(tokens), _CLOSE)
    return slice(num_within(tokens, _OPEN), last)
