"""Tells things to the memories, and answers from them: decide, fetch, answer, check."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pmi_kernel.core.answers import FREE
from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import UNKNOWN
from pmi_kernel.systems.hmst.config import Asking
from pmi_kernel.systems.hmst.memory.consolidator import MemoryConsolidator
from pmi_kernel.systems.hmst.memory.episodic import EpisodicMemory
from pmi_kernel.systems.hmst.memory.semantic import SemanticMemory
from pmi_kernel.systems.hmst.model.controller import Decisions
from pmi_kernel.systems.hmst.model.critic import ANSWER, EVIDENCE, QUESTION, Verdict
from pmi_kernel.systems.hmst.model.hierarchy import Encoded, Hierarchy

Tier = Literal["context", "episodic", "semantic"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a tier gave.

    Attributes:
        tier: Which; context: it stood beside the question.
        id: Its number there.
        text: What was told.
        score: Cosine, in [-1, 1].
    """

    tier: Tier
    id: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at an answer.

    Attributes:
        decisions: What was decided.
        fetched: What the memories gave, as the base read it.
        left_out: How much of it did not fit, the last of it.
        prompt: What the base read.
        text: What it answered.
        probability: The critic's, that the answer follows; None where it was not asked.
        flops: Operations of the base model, counted.
        memory_calls: Searches in the memories.
        seconds_s: Wall time.
        experts: Tokens of prompt and answer that each expert was run for, block by block.
    """

    decisions: Decisions
    fetched: tuple[Fetched, ...]
    left_out: int
    prompt: str
    text: str
    probability: float | None
    flops: float
    memory_calls: int
    seconds_s: float
    experts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and how it came about.

    Attributes:
        text: The answer; `UNKNOWN` where the critic let none pass.
        attempts: In their order.
        flops: Of all of it, with reading the question for the decision.
        seconds_s: Of all of it.
    """

    text: str
    attempts: tuple[Attempt, ...]
    flops: float
    seconds_s: float

    @property
    def decisions(self) -> Decisions:
        """What was decided first."""
        return self.attempts[0].decisions


@dataclass(slots=True)
class Costs:
    """Sums over all that an engine did.

    Attributes:
        told: Texts.
        asked: Questions.
        flops: Operations of the base model, counted.
        memory_calls: Searches.
        seconds_s: Wall time.
        decided: How often each decision was taken.
    """

    told: int = 0
    asked: int = 0
    flops: float = 0.0
    memory_calls: int = 0
    seconds_s: float = 0.0
    decided: dict[str, int] = field(default_factory=dict)


def asked_text(task: Task) -> str:
    """Return a question as the hierarchy reads it, with its allowed answers where it has some."""
    allowed = task.form.allowed if task.form != FREE else ()
    return f"{task.question} ({' or '.join(allowed)})" if allowed else task.question


def prompt_text(question: str, evidence: Sequence[str]) -> str:
    """Return what the base reads before an answer; training and answering both use this."""
    known = "".join(f"- {one}\n" for one in evidence)
    return f"known:\n{known}question: {question}\nanswer:"


class HMSTInferenceEngine:
    """A hierarchy with memories of its own; the networks can be shared by many of them.

    Args:
        hierarchy: The networks.
        semantic: What is known for good; by default a new one in memory.
        config: How questions are answered.
        capacity: Interactions that are kept before they are forgotten.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        semantic: SemanticMemory | None = None,
        config: Asking | None = None,
        *,
        capacity: int = 256,
    ) -> None:
        self.hierarchy, self.config = hierarchy.eval(), config or Asking()
        self.episodic = EpisodicMemory(hierarchy.ssm, hierarchy.recall, capacity=capacity)
        if semantic is None:  # an empty one is false
            semantic = SemanticMemory(hierarchy.shape.dimension)
        self.semantic = semantic
        self.consolidator = MemoryConsolidator(self.episodic, self.semantic, self._entries)
        self.costs = Costs()
        layers, (_, active) = hierarchy.base.num_layers, hierarchy.base.num_parameters()
        self._flops_a_layer = 2.0 * active / layers

    def tell(self, text: str, importance: float | None = None) -> int:
        """Tell something to the episodic memory, and return its number there.

        Args:
            text: What is told.
            importance: At least 0; None: how little the base expected it, in nats a token.

        Raises:
            EngineError: The text is empty, or longer than the model takes.
        """
        began = time.perf_counter()
        with torch.inference_mode():
            encoded = self.hierarchy.encode([text])
            surprise = max(0.0, -encoded.logprob.item())
            hidden = encoded.hidden[0][encoded.mask[0]]
            number = self.episodic.tell(
                text, hidden, surprise if importance is None else importance
            )
        self.costs.told += 1
        self.costs.flops += self._flops(len(hidden), self.hierarchy.base.num_layers)
        self.costs.seconds_s += time.perf_counter() - began
        return number

    def ask(
        self,
        question: str,
        forced: Mapping[str, Any] | None = None,
        *,
        context: Sequence[str] = (),
    ) -> Answered:
        """Answer a question.

        It is read once, by the blocks of the shallowest exit; the controller decides by that, and
        the memories are searched by it.

        Args:
            question: The question.
            forced: Decisions that are taken so in any case: fields of `Decisions` by name.
            context: Texts that stand beside the question, so nothing has to be remembered of them.

        Raises:
            EngineError: The question is empty, or too long by itself.
        """
        began = time.perf_counter()
        with torch.inference_mode():
            encoded = self._read(question)
            shallow = self.hierarchy.controller.choices.layers[0]
            read = self._flops(int(encoded.mask.sum()), shallow)
            decisions = replace(self._decided(encoded), **(forced or {}))
            there = tuple(Fetched("context", at, one, 1.0) for at, one in enumerate(context, 1))
            attempts = [self._attempt(question, encoded, decisions, there)]
            if self._is_refused(attempts[0]) and self.config.after_no == "retry":
                attempts.append(
                    self._attempt(question, encoded, self.all_of_it(verify=True), there)
                )
        text = attempts[-1].text
        if self._is_refused(attempts[-1]) and self.config.after_no != "keep":
            text = UNKNOWN
        flops = read + sum(one.flops for one in attempts)
        spent = time.perf_counter() - began
        self._count(attempts, flops, spent)
        return Answered(text, tuple(attempts), flops, spent)

    def seen(self, question: str) -> tuple[Encoded, Float[Tensor, "1 facts"]]:
        """Return what a decision on a question goes by: its states, and `FACTS` beside them.

        Raises:
            EngineError: The question is empty, or too long by itself.
        """
        with torch.inference_mode():
            encoded = self._read(question)
            return encoded, self._facts(encoded)

    def all_of_it(self, *, verify: bool) -> Decisions:
        """Return the decision for everything that there is, with the critic or without."""
        choices = self.hierarchy.controller.choices
        experts = tuple(range(choices.num_experts))
        return Decisions(choices.layers[-1], True, choices.entries[-1], experts, verify, {})

    def close(self) -> None:
        """Let its semantic memory go."""
        self.consolidator.stop()
        self.semantic.close()

    # -- the parts ------------------------------------------------------------------------------

    def _read(self, question: str) -> Encoded:
        """A question as the blocks of the shallowest exit read it."""
        shallow = self.hierarchy.controller.choices.layers[0]
        return self.hierarchy.encode([question], num_layers=shallow)

    def _facts(self, encoded: Encoded) -> Float[Tensor, "1 facts"]:
        best = self.episodic.retrieve(encoded.mean[0], 1)
        facts = [
            math.log1p(float(encoded.mask.sum())),
            math.log1p(len(self.episodic)),
            best[0].score if best else 0.0,
            math.log1p(len(self.semantic)),
            encoded.logprob.item(),
        ]
        return torch.tensor([facts], device=self.hierarchy.device)

    def _decided(self, encoded: Encoded) -> Decisions:
        controller = self.hierarchy.controller
        match self.config.decide:
            case "always":
                return self.all_of_it(verify=True)
            case "never":
                return replace(self.all_of_it(verify=False), episodic=False, num_entries=0)
        state = self.hierarchy.summary(encoded.hidden, encoded.mask, self._facts(encoded))
        [decisions] = controller.decisions(state, controller.act(state, is_greedy=True))
        return decisions

    def _attempt(
        self, question: str, encoded: Encoded, decisions: Decisions, there: tuple[Fetched, ...]
    ) -> Attempt:
        began = time.perf_counter()
        found = there + self._fetched(encoded, decisions)
        fetched, prompt, row = self._fitting(question, found)
        with self.hierarchy.base.counting() as counts:
            new = self.hierarchy.base.generate(
                torch.tensor([row], device=self.hierarchy.device),
                max_new_tokens=self.config.max_new_tokens,
                end_ids=self.hierarchy.end_ids,
                num_layers=decisions.num_layers,
                experts=decisions.experts,
            )
        text = self.hierarchy.tokenizer.decode(new.tolist(), skip_special_tokens=True)
        text = text.strip().partition("\n")[0].strip()
        flops = self._flops(len(row) + len(new), decisions.num_layers)
        probability = None
        if decisions.verify:
            verdict = self.judged(question, [one.text for one in fetched], text)
            probability = verdict.probability.item()
            flops += self._flops(len(row) + len(new), self.hierarchy.base.num_layers)
        return Attempt(
            decisions,
            fetched,
            len(found) - len(fetched),
            prompt,
            text,
            probability,
            flops,
            int(decisions.episodic) + int(decisions.num_entries > 0),
            time.perf_counter() - began,
            tuple(map(tuple, counts.tolist())),
        )

    def _fitting(
        self, question: str, found: tuple[Fetched, ...]
    ) -> tuple[tuple[Fetched, ...], str, list[int]]:
        """As much of what was fetched as fits beside the question and the answer, as a prompt."""
        hierarchy = self.hierarchy
        most = hierarchy.max_tokens - self.config.max_new_tokens
        sizes = [len(hierarchy.ids([f"- {one.text}\n"])[0]) for one in found]
        [bare] = hierarchy.ids([prompt_text(question, [])])
        kept = 0
        while kept < len(found) and len(bare) + sum(sizes[: kept + 1]) <= most:
            kept += 1
        prompt = prompt_text(question, [one.text for one in found[:kept]])
        return found[:kept], prompt, hierarchy.ids([prompt])[0]

    def judged(self, question: str, evidence: Sequence[str], answer: str) -> Verdict:
        """Return what the critic thinks of an answer."""
        given, parts = critic_rows(self.hierarchy, question, evidence, answer)
        with torch.inference_mode():
            ids, mask = self.hierarchy.padded([given])
            read = self.hierarchy.base(ids, mask, last_only=True)
            return self.hierarchy.critic(read.hidden, mask, self.hierarchy.padded([parts])[0])

    def _fetched(self, encoded: Encoded, decisions: Decisions) -> tuple[Fetched, ...]:
        found: list[Fetched] = []
        if decisions.episodic:
            recalled = self.episodic.retrieve(encoded.mean[0], self.config.episodic_entries)
            found += [Fetched("episodic", one.id, one.text, one.score) for one in recalled]
        if decisions.num_entries:
            vectors = self.hierarchy.queries(encoded).float().cpu().numpy()
            [hits] = self.semantic.search(vectors, decisions.num_entries)
            known = {one.text for one in found}
            found += [
                Fetched("semantic", h.id, h.text, h.score) for h in hits if h.text not in known
            ]
        return tuple(found)

    def _entries(self, texts: Sequence[str]) -> tuple[Sequence[str], np.ndarray]:
        """Entries of texts, read one by one, so that a question waits for one at most."""
        with torch.inference_mode():
            found = [self.hierarchy.entries(self.hierarchy.encode([text])) for text in texts]
        return texts, torch.cat(found).float().cpu().numpy()

    def _is_refused(self, attempt: Attempt) -> bool:
        return (
            attempt.probability is not None and attempt.probability < self.config.least_probability
        )

    def _flops(self, tokens: int, layers: int) -> float:
        return self._flops_a_layer * layers * tokens

    def _count(self, attempts: Sequence[Attempt], flops: float, seconds: float) -> None:
        costs, first = self.costs, attempts[0].decisions
        costs.asked += 1
        costs.flops += flops
        costs.seconds_s += seconds
        costs.memory_calls += sum(one.memory_calls for one in attempts)
        taken = {
            "episodic": first.episodic,
            "semantic": first.num_entries > 0,
            "early_exit": first.num_layers < self.hierarchy.base.num_layers,
            "fewer_experts": len(first.experts) < self.hierarchy.base.num_experts,
            "verify": first.verify,
            "retry": len(attempts) > 1,
        }
        for name, is_taken in taken.items():
            costs.decided[name] = costs.decided.get(name, 0) + is_taken


def critic_rows(
    hierarchy: Hierarchy, question: str, evidence: Sequence[str], answer: str
) -> tuple[list[int], list[int]]:
    """Return question, evidence and answer as tokens in a row, and what each is part of."""
    texts = [f"question: {question}\n", *(f"- {one}\n" for one in evidence), f"answer: {answer}"]
    parts = [QUESTION, *[EVIDENCE] * len(evidence), ANSWER]
    rows = hierarchy.ids(texts)
    return (
        [token for row in rows for token in row],
        [part for part, row in zip(parts, rows, strict=True) for _ in row],
    )
