"""The hierarchy as a system: told the paragraphs, then asked without them."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from pmi_kernel.core import progress
from pmi_kernel.core.answers import AnswerForm
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.system import Field, FieldKind, Question, Reply
from pmi_kernel.core.task import Paragraph, Task, titled
from pmi_kernel.core.trace import UNKNOWN, Change, EndReason, ParseOutcome, Step, StepKind
from pmi_kernel.engines.device import choose_device
from pmi_kernel.retrieval import Evidence
from pmi_kernel.retrieval.foreseen import first_search
from pmi_kernel.systems.checkpoints import find_checkpoint
from pmi_kernel.systems.hmst.config import HmstConfig
from pmi_kernel.systems.hmst.engine import (
    Answered,
    HMSTInferenceEngine,
    asked_text,
    prompt_text,
)
from pmi_kernel.systems.hmst.model.hierarchy import Hierarchy, load

if TYPE_CHECKING:
    import numpy as np

EMPTY, TELL = "empty", "tell"
"""Steps: the question is answered with empty memories; the memories are told the paragraphs."""
_TIERS = ("episodic", "semantic")
_CAPACITY = 100_000
"""More than any task has paragraphs; what is kept as recent is said by `keep_recent`."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A checkpoint's networks on their device."""

    hierarchy: Hierarchy
    sha256: str


class HmstSystem:
    """Tells and asks; each episode has memories of its own. It is its own branch.

    Args:
        config: The settings.
        loaded: What another such system has loaded; read from the checkpoint where None.
        other: The task whose paragraphs are told in place of the episode's own.

    Raises:
        ConfigError: There is no such checkpoint, it is torn or another system's, or it has not what
            is forced.
    """

    tape: Sequence[object] = ()
    max_concurrency: int | None = 1

    def __init__(
        self, config: HmstConfig, loaded: object = None, *, other: Task | None = None
    ) -> None:
        self.config = config
        self._retriever = config.build_retriever()
        self._other = other
        if not isinstance(loaded, Loaded):
            found = find_checkpoint(config.checkpoint, system=config.system)
            loaded = _read(found.folder, found.sha256, choose_device(config.device))
        self.loaded: object = loaded
        self.hierarchy, self._sha256 = loaded.hierarchy, loaded.sha256
        _check(config, self.hierarchy)

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        return {
            "model": self.hierarchy.shape.base,
            "checkpoint_sha256": self._sha256,
            "device": str(self.hierarchy.device),
            "dtype": "float32",
            "batch_invariant": "yes",
            **self._retriever.describe(),
        }

    def close(self) -> None:
        """See `System.close`; what was loaded is freed with the last that uses it."""

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the answer of empty memories, what is told, and the answer after it."""
        found, search = self._found(task)
        yield search
        yield self._answer(EMPTY, self._engine().ask(asked_text(task)), task.form)
        paragraphs = self._others(self._other) if self._other else found.used
        began = time.perf_counter()
        engine = self._told(paragraphs)
        yield Step(
            TELL,
            "\n".join(titled(one.title, one.text) for one in paragraphs),
            measures={
                "paragraphs": len(paragraphs),
                "episodic_entries": len(engine.episodic),
                "semantic_entries": len(engine.semantic),
                "tell_s": time.perf_counter() - began,
            },
            artifacts={"told": [_told_row(engine, one) for one in paragraphs]},
            change=Change.MADE,
            state=engine,
        )
        yield self._answer(
            StepKind.ANSWER, engine.ask(asked_text(task), self.config.forced), task.form
        )

    # -- asked outside an episode ---------------------------------------------------------------

    def ask(self, questions: Sequence[Question], state: object = None) -> list[Reply]:
        """See `Asks.ask`; evidence is told to memories of its own first."""
        replies = []
        for one in questions:
            progress.check()
            engine = self._of(state)
            if one.evidence:
                engine = self._engine()
                for line in filter(None, map(str.strip, one.evidence.splitlines())):
                    engine.tell(line)
            text = asked_text(Task("", one.text, form=one.form))
            answered = engine.ask(text, self.config.forced)
            gold = GoldScore(*self._scored(answered, text, one.gold)) if one.gold else None
            replies.append(Reply(answered.text, gold))
        return replies

    def reword(self, question: str) -> tuple[str, ...]:
        """See `Asks.reword`; it has no words of its own."""
        return ()

    def read(self, question: str, reply: str, state: object = None) -> tuple[float, ...]:
        """See `Asks.read`."""
        text = asked_text(Task("", question))
        answered = self._of(state).ask(text, self.config.forced)
        return self._scored(answered, text, reply)[1]

    def next_tokens(
        self, texts: Sequence[tuple[str, str]], state: object = None
    ) -> "list[np.ndarray]":
        """See `Asks.next_tokens`."""
        found = []
        for question, reply in texts:
            text = asked_text(Task("", question))
            answered = self._of(state).ask(text, self.config.forced)
            found.append(self._logprobs(answered, text, reply)[0].cpu().numpy())
        return found

    # -- misled, and changed at a step ----------------------------------------------------------

    def misled_by(self, task: Task) -> "HmstSystem":
        """See `Misleads.misled_by`."""
        self._others(task)
        return HmstSystem(self.config, self.loaded, other=task)

    @contextmanager
    def mislearned(self, task: Task, state: object = None) -> Iterator[object]:
        """See `Misleads.mislearned`; it takes the place of what was told before."""
        try:
            engine = self._told(self._others(task))
        except EngineError:
            yield None
            return
        yield engine

    def changes(self, step: Step) -> tuple[Field, ...]:
        """See `Changes.changes`: each decision, each tier, and whose paragraphs are told."""
        number, flag = FieldKind.NUMBER, FieldKind.FLAG
        if step.kind == StepKind.SEARCH:
            other = "…told another question's paragraphs"
            return (Field("other", FieldKind.TASK, other, None, said="another question's"),)
        if step.kind != TELL:
            return ()
        choices = self.hierarchy.controller.choices
        return (
            Field("num_layers", number, "blocks that are run", choices.layers[-1], "{} blocks"),
            Field("num_entries", number, "semantic entries", choices.entries[-1], "{} entries"),
            Field("episodic", flag, "…looking at the last interactions", False, "episodic on"),
            Field("no_episodic", flag, "…not looking at them", False, "episodic off"),
            Field("verify", flag, "…checked by the critic", False, "checked"),
            Field("no_verify", flag, "…not checked", False, "not checked"),
            Field("one_expert", flag, "…with the first two experts alone", False, "two experts"),
            *(
                Field(f"without_{tier}", flag, f"…with an empty {tier} memory", False, f"no {tier}")
                for tier in _TIERS
            ),
            Field("consolidate", flag, "…all of it consolidated first", False, "consolidated"),
        )

    def branch(self) -> "HmstSystem":
        """See `Changes.branch`."""
        return self

    def fork(self, mark: int, step: Step, changes: Mapping[str, object]) -> "HmstSystem":
        """See `Branch.fork`."""
        fields = {one.name: one for one in self.changes(step)}
        if unknown := sorted(changes.keys() - fields.keys()):
            raise ValueError(
                f"{', '.join(unknown)} cannot be changed at a step of kind {step.kind}; "
                f"{', '.join(fields) or 'nothing'} can"
            )
        made: dict[str, object] = {}
        for name in ("num_layers", "num_entries"):
            if name in changes:
                made[name] = changes[name]
        for name in ("episodic", "verify"):
            if changes.get(name) or changes.get(f"no_{name}"):
                made[name] = "yes" if changes.get(name) else "no"
        if changes.get("one_expert"):
            made["experts"] = (0, 1)
        if changes.get("consolidate"):
            made["keep_recent"] = 0
        emptied = {tier for tier in _TIERS if changes.get(f"without_{tier}")}
        made["without_tier"] = tuple(sorted({*self.config.without_tier, *emptied}))
        other = cast("Task | None", changes.get("other")) or self._other
        try:
            return HmstSystem(self.config.but(**made), self.loaded, other=other)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    def again(self) -> "HmstSystem":
        """See `Branch.again`."""
        return self

    # -- the parts of a step --------------------------------------------------------------------

    def _engine(self) -> HMSTInferenceEngine:
        """Memories in which nothing is yet."""
        return HMSTInferenceEngine(self.hierarchy, config=self.config, capacity=_CAPACITY)

    def _of(self, state: object) -> HMSTInferenceEngine:
        return cast("HMSTInferenceEngine", state) if state is not None else self._engine()

    def _told(self, paragraphs: Sequence[Paragraph]) -> HMSTInferenceEngine:
        """Memories that were told paragraphs, those before the last ones consolidated."""
        engine, config = self._engine(), self.config
        old = max(0, len(paragraphs) - config.keep_recent)
        for number, one in enumerate(paragraphs, start=1):
            engine.tell(titled(one.title, one.text))
            if number == old:
                while engine.consolidator.consolidate():
                    progress.check()
        if "episodic" in config.without_tier:
            engine.episodic.clear()
        if "semantic" in config.without_tier:
            engine.semantic.clear()
        return engine

    def _found(self, task: Task) -> tuple[Evidence, Step]:
        """The paragraphs that are to be told, and the step that tells of them."""
        return first_search(self.config, task, self._retriever)

    def _others(self, task: Task) -> tuple[Paragraph, ...]:
        paragraphs = self._found(task)[0].used
        if not paragraphs:
            raise EngineError(f"nothing was found for {task.id!r}")
        return paragraphs

    def _answer(self, kind: str, answered: Answered, form: AnswerForm) -> Step:
        """A step that answers: what was decided, fetched, run and thought of it."""
        last = answered.attempts[-1]
        raw = answered.text
        answer = form.read(raw)
        outcome = ParseOutcome.NOT_ALLOWED if raw and answer is None else None
        end = EndReason.ANSWERED
        if answer is None and not (raw and self.config.unparsed == "text"):
            answer, end = UNKNOWN, EndReason.PARSE_FAILURE
        decisions = last.decisions
        measures = {
            "layers": decisions.num_layers,
            "fetched": len(last.fetched),
            "left_out": last.left_out,
            "attempts": len(answered.attempts),
            "flops": answered.flops,
            "act_s": answered.seconds_s,
        }
        if last.probability is not None:
            measures["verdict"] = last.probability
        return Step(
            kind,
            answer or raw,
            raw=raw,
            parse=outcome,
            measures=measures,
            artifacts={
                "decisions": asdict(answered.decisions),
                "attempts": [
                    {
                        "answer": one.text,
                        "probability": one.probability,
                        "fetched": [asdict(hit) for hit in one.fetched],
                    }
                    for one in answered.attempts
                ],
                "experts": [list(block) for block in last.experts],
            },
            end_reason=end if kind == StepKind.ANSWER else None,
            prompt=last.prompt,
        )

    def _logprobs(self, answered: Answered, question: str, reply: str) -> tuple[Tensor, list[int]]:
        """Log-probabilities at each token of a fixed reply to what was asked, and the tokens."""
        last, hierarchy = answered.attempts[-1], self.hierarchy
        prompt = prompt_text(question, [one.text for one in last.fetched])
        given, said = hierarchy.ids([prompt])[0], hierarchy.ids([f" {reply}"])[0]
        ids, _ = hierarchy.padded([[*given, *said]])
        with torch.inference_mode():
            read = hierarchy.base(
                ids, num_layers=last.decisions.num_layers, experts=last.decisions.experts
            )
        return read.logits[0, len(given) - 1 : -1].float().log_softmax(-1), said

    def _scored(
        self, answered: Answered, question: str, text: str
    ) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """A text's tokens, and their log-probabilities in nats."""
        logprobs, said = self._logprobs(answered, question, text)
        picked = logprobs.gather(1, torch.tensor(said, device=logprobs.device)[:, None])[:, 0]
        pieces = tuple(self.hierarchy.tokenizer.decode([one]) for one in said)
        return pieces, tuple(picked.tolist())


def _told_row(engine: HMSTInferenceEngine, paragraph: Paragraph) -> dict[str, object]:
    """Where a paragraph is now."""
    text = titled(paragraph.title, paragraph.text)
    recent = {one.text: one.importance for one, _ in engine.episodic.weighed()}
    tier = "episodic" if text in recent else "semantic"
    return {"title": paragraph.title, "tier": tier, "importance": recent.get(text)}


def _check(config: HmstConfig, hierarchy: Hierarchy) -> None:
    base = hierarchy.base
    if config.num_layers is not None and config.num_layers > base.num_layers:
        raise ConfigError(f"num_layers {config.num_layers}: the base has {base.num_layers}")
    if config.experts and max(config.experts) >= base.num_experts:
        raise ConfigError(f"experts {config.experts}: the base has {base.num_experts}, from 0")


@lru_cache(maxsize=1)
def _read(folder: Path, sha256: str, device: torch.device) -> Loaded:
    hierarchy = load(folder)
    hierarchy.to(device)
    return Loaded(hierarchy, sha256)
