"""The retrievable-gradients system: search, take the passages' gradients, inject their sum, answer.

A passage's memory is its gradient at the start; an episode's is the sum over what was found, so
passages can be weighed, left out and taken back without any training.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from pmi_kernel.core.answers import AnswerForm
from pmi_kernel.core.errors import EngineError
from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.settings import stable_seed
from pmi_kernel.core.system import Field, FieldKind, Question, Reply
from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import (
    UNKNOWN,
    Change,
    EndReason,
    ParseOutcome,
    Step,
    StepKind,
)
from pmi_kernel.engines.base import Adapter, Engine, Finish, Generation, Sampling
from pmi_kernel.engines.injected import injected
from pmi_kernel.engines.tape import TapedEngine
from pmi_kernel.lora.start import Gradient, Start, StepOn, tensors_of
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.actions import value_regex
from pmi_kernel.prompting.answer import most_tokens
from pmi_kernel.prompting.messages import copied
from pmi_kernel.retrieval.evidence import evidence_lines
from pmi_kernel.retrieval.foreseen import first_search
from pmi_kernel.systems.branch import Altered
from pmi_kernel.systems.chat import GUIDED_CHARS, GUIDED_TOKENS, ChatSystem, at_once
from pmi_kernel.systems.regrad.attribution import attribute
from pmi_kernel.systems.regrad.config import RegradConfig
from pmi_kernel.systems.regrad.prompts import END, answer_text, known_prompt, question_prompt
from pmi_kernel.systems.regrad.store import GradientStore, StoredGradients
from pmi_kernel.systems.start import check_model, read_start

GRADIENTS = "gradients"
"""The step that takes each passage's gradient."""

_NO_MODEL = Start({}, {}, 1, 1.0, StepOn("scripted", "", "fix", 1024, True))
"""Where no model serves, nothing can be taken a step from."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What an episode's memory is made of.

    Attributes:
        gradients: Those of the passages that were found, best first.
        titles: Of the passages.
        weights: How much of each is in the memory; 0 for one that is left out.
    """

    gradients: tuple[Gradient, ...]
    titles: tuple[str, ...]
    weights: tuple[float, ...]

    def only(self, kept: Sequence[bool]) -> "Learned":
        """Return the same without the passages that are not kept."""
        pairs = zip(self.weights, kept, strict=True)
        return replace(self, weights=tuple(weight * is_kept for weight, is_kept in pairs))

    def scaled(self, gamma: float) -> list[tuple[float, Mapping[str, Tensor]]]:
        """Return how much of each gradient is taken, and its tensors; none that is left out."""
        return [
            (gamma * weight, gradient.tensors)
            for gradient, weight in zip(self.gradients, self.weights, strict=True)
            if weight
        ]


class RegradSystem(ChatSystem[RegradConfig]):
    """Steps through episodes; holds no state between them, so threads may share it.

    Args:
        config: The settings.
        engine: Serves, takes gradients and injects; built from `config` where None.
        learned_of: Whose passages are learned; None for the episode's own task.

    Raises:
        ConfigError: The engine or the checkpoint cannot be loaded, or do not fit each other.
    """

    def __init__(
        self,
        config: RegradConfig,
        engine: Engine | None = None,
        learned_of: Task | None = None,
    ) -> None:
        self._retriever = config.build_retriever()
        serves = engine.describe()["model"] if engine else config.engine
        is_scripted = serves == "scripted"
        self.start, self._sha256 = (_NO_MODEL, "") if is_scripted else read_start(config.checkpoint)
        super().__init__(config, engine)
        self._learned_of = learned_of
        check_model(config.checkpoint, self.start, self.engine.describe())
        # A branch's tape, or another system's engine, looks them up already.
        if (
            config.store != "none"
            and not is_scripted
            and not isinstance(self.engine, StoredGradients | TapedEngine)
        ):
            where, sha256 = config.store_dir, self._sha256
            store = (
                GradientStore(Path(where), sha256, config.store)
                if where
                else GradientStore.of(sha256, config.store)
            )
            self.engine = StoredGradients(self.engine, store)

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        hashed = {"checkpoint_sha256": self._sha256}
        return {**super().describe(), **hashed, **self._retriever.describe()}

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the steps of one episode; its memory is taken out whatever happens."""
        config = self.config
        found, search = first_search(config, task, self._retriever)
        yield search
        texts = evidence_lines(found.passages)
        learned: Learned | None = None
        with injected(self.engine) as memory:
            if config.learns and texts:
                learned, step, costs = self._learned(texts if self._learned_of is None else None)
                yield step
                began = time.perf_counter()
                adapter = memory.put(self.memory(learned))
                yield Step(
                    StepKind.INJECT,
                    "\n".join(
                        gradient.text
                        for gradient, weight in zip(learned.gradients, learned.weights, strict=True)
                        if weight
                    ),
                    measures={
                        **costs,
                        "attached_bytes": adapter.weights.num_bytes,
                        "attach_s": time.perf_counter() - began,
                    },
                    artifacts={
                        "rank": adapter.weights.rank,
                        "delta_norms": adapter.weights.norms(),
                    },
                    change=Change.MADE,
                    state=adapter,
                )
            shown = () if config.blind_context and config.learns else texts
            answer, began = self._answered(task, shown, memory.adapter), time.perf_counter()
            if learned is not None and config.attribute:
                answer = self._attributed(task, shown, answer, learned)
                began = time.perf_counter()
            if memory.adapter is not None:
                memory.take_out()
                measures = {**answer.measures, "detach_s": time.perf_counter() - began}
                answer = replace(answer, measures=measures)
            yield answer

    # -- what it learns -----------------------------------------------------------------------

    def learn(self, task: Task) -> Learned:
        """Return what is learned of a task's passages.

        Raises:
            EngineError: There are none, or a gradient could not be taken.
        """
        return self._learned(self._found_texts(task))[0]

    def texts(self, task: Task) -> tuple[str, ...]:
        """Return the passages that the first search of a task finds, as they are learned."""
        found, _ = first_search(self.config, task, self._retriever)
        return evidence_lines(found.passages)

    def _found_texts(self, task: Task) -> tuple[str, ...]:
        texts = self.texts(task)
        if not texts:
            raise EngineError(f"nothing was found for {task.id!r}")
        return texts

    def memory(self, learned: Learned, *, gamma: float | None = None) -> LoraWeights:
        """Return the start less the weighed sum of the passages' steps, as a LoRA.

        Args:
            learned: The passages, and how much of each.
            gamma: How much of the whole; by default the setting.
        """
        gamma = self.config.gamma if gamma is None else gamma
        return self.start.stepped(self.start.theta, learned.scaled(gamma))

    def _learned(self, texts: Sequence[str] | None) -> tuple[Learned, Step, dict[str, float]]:
        """The gradients of texts (None: another task's), the step that tells of them, the costs."""
        if texts is None:
            assert self._learned_of is not None
            texts = self._found_texts(self._learned_of)
        found = self.engine.gradients(texts, self.start)
        titles = tuple(text.partition(":")[0] for text in texts)
        weights = tuple(float(rank not in self.config.without) for rank in range(1, len(texts) + 1))
        learned = Learned(found.of, titles, weights)
        step = Step(
            GRADIENTS,
            "\n".join(texts),
            measures={
                "gradient_tokens": sum(one.num_tokens for one in found.of),
                "cut_tokens": sum(one.cut_tokens for one in found.of),
                "gradients_found": found.num_found,
            },
            artifacts={
                "titles": list(titles),
                "weights": list(weights),
                "losses_nats": [one.loss_nats for one in found.of],
                "norms": [_norms(one.tensors, self.start.steps) for one in found.of],
                "cosines": _cosines([one.tensors for one in found.of]),
            },
            change=Change.NEXT,
        )
        costs = {"train_s": found.seconds_s, "train_tokens": step.measures["gradient_tokens"]}
        return learned, step, costs

    def misled_by(self, task: Task) -> "RegradSystem":
        """See `Misleads.misled_by`."""
        return RegradSystem(self.config, self.engine, task)

    @contextmanager
    def mislearned(self, task: Task, state: object = None) -> Iterator[object]:
        """See `Misleads.mislearned`."""
        below = cast("Adapter | None", state)
        try:
            learned = self.learn(task)
        except EngineError:
            yield None
            return
        if self.engine.is_exclusive and below is not None:
            yield None
            return
        before = self.start.theta if below is None else tensors_of(below.weights)
        weights = self.start.stepped(before, learned.scaled(self.config.gamma))
        with injected(self.engine, weights) as memory:
            yield memory.adapter

    # -- changed at a step --------------------------------------------------------------------

    def changes(self, step: Step) -> tuple[Field, ...]:
        """See `Changes.changes`: the query, how much of the step, and which passages."""
        fields = list(super().changes(step))
        if step.kind == GRADIENTS:
            number, flag = FieldKind.NUMBER, FieldKind.FLAG
            fields.append(Field("gamma", number, "gamma", self.config.gamma, said="gamma {}"))
            titles = step.artifacts.get("titles")
            for rank, title in enumerate(titles if isinstance(titles, list) else (), start=1):
                said = f"without “{title}”"
                fields.append(Field(f"without_{rank}", flag, f"…{said}", False, said=said))
        return tuple(fields)

    def altered(self, config: RegradConfig, step: Step, changes: Mapping[str, object]) -> Altered:
        """See `Repeatable.altered`."""
        altered = super().altered(config, step, changes)
        left = {int(name.partition("_")[2]) for name, on in changes.items() if on and "_" in name}
        own = cast("RegradConfig", altered.config)
        gamma = changes.get("gamma", own.gamma)
        without = tuple(sorted({*own.without, *left}))
        return Altered(own.but(gamma=gamma, without=without), altered.said, altered.training)

    # -- how it is asked ----------------------------------------------------------------------

    def ask(self, questions: Sequence[Question], state: object = None) -> list[Reply]:
        """See `Asks.ask`: those with a gold answer as in an episode, others after examples."""
        adapter, is_simple = cast("Adapter | None", state), self.start.on.is_simple
        prompts = [
            question_prompt(
                one.text, (one.evidence,) if one.evidence else (), one.form, is_simple=is_simple
            )
            if one.gold
            else known_prompt(one.text)
            for one in questions
        ]
        scores = at_once(
            [
                partial(
                    self.engine.score,
                    prompt,
                    answer_text(one.gold, is_simple=is_simple).removesuffix(END),
                    adapter=adapter,
                )
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
                        max_tokens=most_tokens(one.form, self.config.answer_tokens), stop=(END,)
                    ),
                )
                for prompt, one in zip(prompts, questions, strict=True)
            ]
        )
        scored = iter(scores)
        replies = []
        for one, output in zip(questions, outputs, strict=True):
            score = next(scored) if one.gold else None
            gold = score and GoldScore(score.tokens, score.logprobs_nats)
            replies.append(Reply(output.text.partition(END)[0].strip(), gold or None))
        return replies

    def _answered(self, task: Task, shown: Sequence[str], adapter: Adapter | None) -> Step:
        config, form, is_simple = self.config, task.form, self.start.on.is_simple
        is_guided = config.action_decoding == "guided"
        most = GUIDED_TOKENS if is_guided else config.answer_tokens
        sampling = Sampling(
            max_tokens=most_tokens(form, most),
            temperature=config.temperature,
            stop=(END,),
            regex=_line_regex(form, is_simple=is_simple) if is_guided else None,
            seed=stable_seed(config.seed, task.id, "answer"),
        )
        prompt = question_prompt(task.question, shown, form, is_simple=is_simple)
        output = self.engine.generate(prompt, adapter=adapter, sampling=sampling)
        text, parse, end = self._ended(form, output)
        return Step(
            StepKind.ANSWER,
            text,
            raw=output.text,
            parse=parse,
            measures=output.measures("act"),
            end_reason=end,
            prompt=copied(prompt),
        )

    def _attributed(self, task: Task, shown: Sequence[str], answer: Step, learned: Learned) -> Step:
        """The answer with what each passage has to do with it."""
        is_simple, places = self.start.on.is_simple, range(len(learned.titles))
        kept = [[one == place for one in places] for place in places]
        left = [[one != place for one in places] for place in places]
        found = attribute(
            self.engine,
            question_prompt(task.question, shown, task.form, is_simple=is_simple),
            answer_text(answer.text, is_simple=is_simple).removesuffix(END),
            parts=[
                self.memory(learned.only(mask))
                for mask in ([True] * len(places), [False] * len(places), *kept, *left)
            ],
            num_passages=len(places),
        )
        told = {
            "titles": list(learned.titles),
            "whole_nats": found.whole,
            "none_nats": found.none,
            "alone_nats": list(found.alone),
            "left_out_nats": list(found.left_out),
            "credit_nats": list(found.credits),
        }
        return replace(
            answer,
            measures={**answer.measures, "attribute_s": found.seconds_s},
            artifacts={**answer.artifacts, "attribution": told},
        )

    def _ended(
        self, form: AnswerForm, output: Generation
    ) -> tuple[str, ParseOutcome | None, EndReason]:
        """The answer: the line, if it was ended; else by the run's own rule."""
        line = output.text.partition(END)[0].strip()
        answer = form.read(line)
        if answer is not None and output.finish is Finish.STOP:
            return answer, None, EndReason.ANSWERED
        outcome = ParseOutcome.NOT_ALLOWED if line and answer is None else None
        if line and self.config.unparsed == "text":
            return answer or line, outcome, EndReason.ANSWERED
        return UNKNOWN, outcome, EndReason.PARSE_FAILURE


def _line_regex(form: AnswerForm, *, is_simple: bool) -> str:
    """A regex of one line that answers, as `answer_text` has it."""
    told = value_regex(form) or rf"[^\s][^\r\n]{{0,{GUIDED_CHARS - 1}}}"
    return f"{' ' if is_simple else ''}({told}){END}"


def _norms(tensors: Mapping[str, Tensor], steps: Mapping[str, Tensor]) -> dict[str, float]:
    """The norm of a passage's step on each layer, over both of its tensors."""
    squares: dict[str, float] = {}
    for name, tensor in tensors.items():
        layer = name.rpartition(".")[0]
        square = float((steps[name] * tensor).square().sum())
        squares[layer] = squares.get(layer, 0.0) + square
    return {layer: square**0.5 for layer, square in squares.items()}


def _cosines(each: Sequence[Mapping[str, Tensor]]) -> list[list[float]]:
    """The cosine between the gradients of every two passages."""
    flat = [torch.cat([one[name].flatten() for name in one]) for one in each if one]
    if not flat:
        return []
    rows = torch.nn.functional.normalize(torch.stack(flat), dim=1)
    return [[float(value) for value in row] for row in rows @ rows.T]
