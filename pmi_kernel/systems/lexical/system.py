"""The lexical system: retrieve, keep the sentences, answer with words of them by plain rules."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from pmi_kernel.core.answers import FREE, AnswerForm
from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.spans import sentences
from pmi_kernel.core.system import Field, FieldKind, Question, Reply
from pmi_kernel.core.task import Task
from pmi_kernel.core.trace import UNKNOWN, Change, EndReason, Step, StepKind
from pmi_kernel.retrieval import Evidence, make_step0_query, retrieve
from pmi_kernel.systems.lexical.config import LexicalConfig
from pmi_kernel.systems.lexical.rules import Candidate, Line, best, candidates, logprob_nats

REMEMBER = "remember"
"""The step at which the sentences of the evidence are taken in."""

Memory = tuple[Line, ...]
"""What is known: the state that a step carries."""


class LexicalSystem:
    """See `System`; its steps cost next to nothing, so that it is its own `Branch`.

    Args:
        config: The settings.
        loaded: Not used: nothing is loaded.
        other: The task whose passages are kept in place of the episode's own.
    """

    loaded: object = None
    max_concurrency: int | None = None
    tape: Sequence[object] = ()

    def __init__(
        self, config: LexicalConfig, loaded: object = None, *, other: Task | None = None
    ) -> None:
        self.config = config
        self._other = other
        self._retriever = config.build_retriever()

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield the search, what is kept of it, and the answer."""
        start = time.perf_counter()
        query = self._query(task)
        found = self._search(task)
        yield Step(
            StepKind.SEARCH,
            query,
            passages=found.passages,
            measures=found.measures(time.perf_counter() - start),
            change=Change.NEXT,
        )
        memory = self._learn(self._other) if self._other else _kept(found)
        text = "\n".join(line.text for line in memory)
        yield Step(
            REMEMBER,
            text,
            measures={"sentences": len(memory), "attached_bytes": len(text.encode())},
            change=Change.MADE,
            state=memory,
        )
        start = time.perf_counter()
        answers = candidates(task.question, memory, task.form)
        yield Step(
            StepKind.ANSWER,
            answers[0].text if answers else UNKNOWN,
            measures={"act_s": time.perf_counter() - start},
            artifacts={
                "candidates": best(answers),
                "sentence": answers[0].line.text if answers else "",
            },
            end_reason=EndReason.ANSWERED,
        )

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        return {"device": "cpu", **self._retriever.describe()}

    def close(self) -> None:
        """See `System.close`; nothing was loaded."""

    # -- asked outside an episode -------------------------------------------------------------

    def ask(self, questions: Sequence[Question], state: object = None) -> list[Reply]:
        """See `Asks.ask`."""
        replies = []
        for one in questions:
            answers = self._answers(one.text, state, one.evidence, one.form)
            gold = GoldScore((one.gold,), (logprob_nats(one.gold, answers),)) if one.gold else None
            replies.append(Reply(answers[0].text if answers else UNKNOWN, gold))
        return replies

    def reword(self, question: str) -> tuple[str, ...]:
        """See `Asks.reword`; it has no words of its own."""
        return ()

    def read(self, question: str, reply: str, state: object = None) -> tuple[float, ...]:
        """See `Asks.read`."""
        return (logprob_nats(reply, self._answers(question, state)),)

    def next_tokens(self, texts: Sequence[tuple[str, str]], state: object = None) -> None:
        """See `Asks.next_tokens`; it has no vocabulary."""

    # -- misled, and changed at a step --------------------------------------------------------

    def misled_by(self, task: Task) -> "LexicalSystem":
        """See `Misleads.misled_by`."""
        return LexicalSystem(self.config, other=task)

    @contextmanager
    def mislearned(self, task: Task, state: object = None) -> Iterator[object]:
        """See `Misleads.mislearned`."""
        yield (*cast("Memory", state or ()), *self._learn(task))

    def changes(self, step: Step) -> tuple[Field, ...]:
        """See `Changes.changes`."""
        if step.kind == StepKind.ANSWER:
            return ()
        wrong = "…with the wrong passage"
        fields = [Field("wrong_passage", FieldKind.TASK, wrong, None, said="wrong passage kept")]
        if step.kind == StepKind.SEARCH:
            kind, label = FieldKind.LINE, "Search for this instead"
            fields.insert(0, Field("query", kind, label, step.text, said="query “{}”"))
        return tuple(fields)

    def branch(self) -> "LexicalSystem":
        """See `Changes.branch`."""
        return self

    def fork(self, mark: int, step: Step, changes: Mapping[str, object]) -> "LexicalSystem":
        """See `Branch.fork`."""
        if unknown := sorted(changes.keys() - {one.name for one in self.changes(step)}):
            raise ValueError(f"{', '.join(unknown)} cannot be changed at step {step.kind}")
        query = changes.get("query", self.config.first_query)
        if query is not None and not str(query).strip():
            raise ValueError("the query is empty")
        other = cast("Task | None", changes.get("wrong_passage", self._other))
        return LexicalSystem(self.config.but(first_query=query), other=other)

    def again(self) -> "LexicalSystem":
        """See `Branch.again`."""
        return self

    # -- the parts of a step ------------------------------------------------------------------

    def _query(self, task: Task) -> str:
        return self.config.first_query or make_step0_query(task.question)

    def _search(self, task: Task) -> Evidence:
        config = self.config
        return retrieve(
            self._retriever,
            self._query(task),
            task.context,
            topk=config.topk,
            max_chars=config.max_chars,
        )

    def _learn(self, task: Task) -> Memory:
        return _kept(self._search(task))

    def _answers(
        self,
        question: str,
        state: object,
        evidence: str | None = None,
        form: AnswerForm = FREE,
    ) -> list[Candidate]:
        memory = cast("Memory", state or ())
        return candidates(question, (*memory, *_read(evidence or "")), form)


def _kept(found: Evidence) -> Memory:
    return tuple(
        Line(passage.title, sentence.text)
        for passage in found.passages
        for sentence in sentences(passage.text)
    )


def _read(evidence: str) -> Memory:
    """The lines of an evidence as a prompt has it: `title: text`."""
    told = [line.partition(": ") for line in evidence.splitlines()]
    return tuple(
        Line(title, sentence.text) for title, _, text in told for sentence in sentences(text)
    )
