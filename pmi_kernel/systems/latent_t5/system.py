"""Both systems: read the context, compress it, and answer with it and without; or read it whole."""

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import torch
from torch import Tensor

from pmi_kernel.core import progress
from pmi_kernel.core.answers import AnswerForm
from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.system import Field, FieldKind, Question, Reply
from pmi_kernel.core.task import Paragraph, Task
from pmi_kernel.core.trace import (
    UNKNOWN,
    Change,
    EndReason,
    ParseOutcome,
    Passage,
    PassageUse,
    Step,
    StepKind,
)
from pmi_kernel.retrieval import Evidence, make_step0_query, retrieve
from pmi_kernel.systems.latent_t5.batches import (
    NO_LABEL,
    context_text,
    padded,
    question_text,
    tokens,
)
from pmi_kernel.systems.latent_t5.building import Built, load
from pmi_kernel.systems.latent_t5.config import BaselineT5Config, LatentT5Config, T5Config
from pmi_kernel.systems.latent_t5.model import BaselineT5, Encoded, LatentT5, Read
from pmi_kernel.systems.latent_t5.reading import Context, read_context
from pmi_kernel.training.checkpoint import read_checkpoint

if TYPE_CHECKING:
    import numpy as np

Config = TypeVar("Config", bound=T5Config)

ENCODE, SELECT, CLOSED = "encode", "select", "closed"
"""Steps: the context is read; it is compressed; the question is answered with the gate closed."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A checkpoint's model on its device."""

    built: Built
    device: torch.device
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What is known of a context: the state that a step carries.

    Attributes:
        context: As it was read.
        read: The encoder's states of it.
    """

    context: Context
    read: Read


class T5System(ABC, Generic[Config]):
    """What both systems have in common; see `System` and `Asks`.

    Args:
        config: The settings.
        loaded: What another such system has loaded; read from the checkpoint where None.

    Raises:
        ConfigError: There is no such checkpoint, or it is torn, altered or another system's.
    """

    max_concurrency: int | None = 1
    tape: Sequence[object] = ()

    def __init__(self, config: Config, loaded: object = None) -> None:
        self.config = config
        self._retriever = config.build_retriever()
        if not isinstance(loaded, Loaded):
            loaded = _open(config.system, config.checkpoint, config.device)
        self.loaded: object = loaded
        self._built, self._device, self._sha256 = loaded.built, loaded.device, loaded.sha256

    @property
    def model(self) -> BaselineT5:
        """What answers."""
        return self._built.model

    @abstractmethod
    def steps(self, task: Task) -> Generator[Step, None, None]:
        """See `System.steps`."""

    @abstractmethod
    def encoded(self, question: Task, state: object = None) -> Encoded:
        """Return what the decoder sees of a question: with its context, else in a state."""

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        return {
            "model": " + ".join(self._built.names.values()),
            "checkpoint_sha256": self._sha256,
            "device": str(self._device),
            "dtype": "float32",
            "batch_invariant": "yes",
            **self._retriever.describe(),
        }

    def close(self) -> None:
        """See `System.close`; what was loaded is freed with the last that uses it."""

    # -- asked outside an episode -------------------------------------------------------------

    def ask(self, questions: Sequence[Question], state: object = None) -> list[Reply]:
        """See `Asks.ask`; evidence is a context of its own."""
        replies = []
        for one in questions:
            progress.check()
            task = Task("", one.text, _paragraphs(one.evidence), one.form)
            with torch.inference_mode():
                encoded = self.encoded(task, state)
                answer = self._said(encoded)
                gold = GoldScore(*self._scored(encoded, one.gold)) if one.gold else None
            replies.append(Reply(answer, gold))
        return replies

    def reword(self, question: str) -> tuple[str, ...]:
        """See `Asks.reword`; it has no words of its own."""
        return ()

    def read(self, question: str, reply: str, state: object = None) -> tuple[float, ...]:
        """See `Asks.read`."""
        with torch.inference_mode():
            return self._scored(self.encoded(Task("", question), state), reply)[1]

    def next_tokens(
        self, texts: Sequence[tuple[str, str]], state: object = None
    ) -> "list[np.ndarray]":
        """See `Asks.next_tokens`."""
        with torch.inference_mode():
            return [
                self._logprobs(self.encoded(Task("", question), state), self._labels(reply))
                .cpu()
                .numpy()
                for question, reply in texts
            ]

    # -- the parts of a step ------------------------------------------------------------------

    def _found(self, task: Task) -> tuple[Evidence, Step]:
        """The paragraphs that are to be read, and the step that tells of them."""
        config, began = self.config, time.perf_counter()
        query = config.first_query or make_step0_query(task.question)
        found = retrieve(
            self._retriever, query, task.context, topk=config.topk, max_chars=config.max_chars
        )
        measures = found.measures(time.perf_counter() - began)
        return found, Step(StepKind.SEARCH, query, passages=found.passages, measures=measures)

    def _question(self, task: Task) -> tuple[Tensor, Tensor]:
        rows, _ = tokens(self._built.tokenizer, [question_text(task)], self._built.limits.question)
        return padded(rows, 0, self._device)

    def _labels(self, text: str) -> Tensor:
        rows, _ = tokens(self._built.tokenizer, [text], self._built.limits.answer)
        return padded(rows, NO_LABEL, self._device)[0]

    def _said(self, encoded: Encoded) -> str:
        ids = self.model.generate(encoded, self._built.limits.answer)
        text: str = self._built.tokenizer.decode(ids[0], skip_special_tokens=True)
        return text.strip()

    def _logprobs(self, encoded: Encoded, labels: Tensor) -> Tensor:
        return self.model.decode(encoded, labels)[0].float().log_softmax(-1)

    def _scored(self, encoded: Encoded, text: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """A text's tokens without its end, and their log-probabilities in nats."""
        labels = self._labels(text)
        found = self._logprobs(encoded, labels).gather(1, labels[0, :, None])[:-1, 0]
        pieces = [self._built.tokenizer.decode([one]) for one in labels[0, :-1].tolist()]
        return tuple(pieces), tuple(found.tolist())

    def _answer(self, kind: str, encoded: Encoded, form: AnswerForm) -> Step:
        """A step that answers, by the run's own rule for what is no answer."""
        began = time.perf_counter()
        with torch.inference_mode():
            raw = self._said(encoded)
        answer = form.read(raw)
        outcome = ParseOutcome.NOT_ALLOWED if raw and answer is None else None
        end = EndReason.ANSWERED
        if answer is None and not (raw and self.config.unparsed == "text"):
            answer, end = UNKNOWN, EndReason.PARSE_FAILURE
        return Step(
            kind,
            answer or raw,
            raw=raw,
            parse=outcome,
            measures={"act_s": time.perf_counter() - began},
            end_reason=end if kind == StepKind.ANSWER else None,
        )


class BaselineT5System(T5System[BaselineT5Config]):
    """Reads question and context in one, as far as they fit."""

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield what is read, and the answer."""
        found, search = self._found(task)
        yield search
        began = time.perf_counter()
        rows, cut = self._rows(task, found.used)
        with torch.inference_mode():
            encoded = self.model.encode(*padded(rows, 0, self._device))
        yield Step(
            ENCODE,
            question_text(task),
            measures={
                "context_tokens": len(rows[0]),
                "cut_tokens": cut,
                "encode_s": time.perf_counter() - began,
            },
        )
        yield self._answer(StepKind.ANSWER, encoded, task.form)

    def _rows(self, task: Task, paragraphs: Sequence[Paragraph]) -> tuple[list[list[int]], int]:
        text = f"{question_text(task)} {context_text(paragraphs)}"
        return tokens(self._built.tokenizer, [text], self._built.limits.question)

    def encoded(self, question: Task, state: object = None) -> Encoded:
        """See `T5System.encoded`."""
        rows, _ = self._rows(question, question.context)
        return self.model.encode(*padded(rows, 0, self._device))


class LatentT5System(T5System[LatentT5Config]):
    """Compresses the context; its steps need no memory of what was answered: it is its own branch.

    Args:
        config: The settings.
        loaded: As `T5System`.
        other: The task whose context is read in place of the episode's own.
    """

    def __init__(
        self, config: LatentT5Config, loaded: object = None, *, other: Task | None = None
    ) -> None:
        super().__init__(config, loaded)
        self._other = other

    @property
    def _latent(self) -> LatentT5:
        return cast("LatentT5", self.model)

    def describe(self) -> Mapping[str, str]:
        """See `System.describe`."""
        kind = "asked" if self._latent.selector.shape.is_asked else "blind"
        return {**super().describe(), "latents": kind, "gate": f"{self._latent.gate:.4f}"}

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield what is read, what is kept of it, and the answer with the gate closed and open."""
        found, search = self._found(task)
        yield search
        began = time.perf_counter()
        memory = self._learned(self._other) if self._other else self.memory(self._kept(found))
        context = memory.context
        yield Step(
            ENCODE,
            question_text(task),
            passages=_as_read(context) if context.cut_tokens else (),
            measures={
                "context_tokens": len(context.ids),
                "cut_tokens": context.cut_tokens,
                "encode_s": time.perf_counter() - began,
            },
            change=Change.NEXT,
        )
        began = time.perf_counter()
        with torch.inference_mode():
            encoded = self._encoded(task, memory)
        weights = encoded.weights
        assert weights is not None
        gate = self.config.gate
        yield Step(
            SELECT,
            "",
            measures={
                "latents": weights.shape[1],
                "gate": self._latent.gate if gate is None else gate,
                "attached_bytes": self._num_bytes(memory),
                "attach_s": time.perf_counter() - began,
            },
            artifacts=_looked(context, weights[0]),
            change=Change.MADE,
            state=memory,
        )
        with torch.inference_mode():
            closed = self._encoded(task, None)
        yield self._answer(CLOSED, closed, task.form)
        yield self._answer(StepKind.ANSWER, encoded, task.form)

    # -- misled, and changed at a step --------------------------------------------------------

    def misled_by(self, task: Task) -> "LatentT5System":
        """See `Misleads.misled_by`."""
        self._learned(task)
        return LatentT5System(self.config, self.loaded, other=task)

    @contextmanager
    def mislearned(self, task: Task, state: object = None) -> Iterator[object]:
        """See `Misleads.mislearned`; it takes the place of what was read before."""
        try:
            memory = self._learned(task)
        except EngineError:
            yield None
            return
        yield memory

    def changes(self, step: Step) -> tuple[Field, ...]:
        """See `Changes.changes`: what is read, and how much of it is seen."""
        number, flag = FieldKind.NUMBER, FieldKind.FLAG
        if step.kind == SELECT:
            gate, latents = (step.measures[name] for name in ("gate", "latents"))
            return (
                Field("gate", number, "gate, from −1 to 1", round(gate, 4), said="gate {}"),
                Field("num_latents", number, "latents that are used", latents, said="{} latents"),
            )
        if step.kind != StepKind.SEARCH:
            return ()
        told = [
            Field(f"without_{one.rank}", flag, f"…without “{one.title}”", False, said=said)
            for one in step.passages
            for said in (f"without “{one.title}”",)
        ]
        other = "…with another question's context"
        return (*told, Field("other", FieldKind.TASK, other, None, said="another context"))

    def branch(self) -> "LatentT5System":
        """See `Changes.branch`."""
        return self

    def fork(self, mark: int, step: Step, changes: Mapping[str, object]) -> "LatentT5System":
        """See `Branch.fork`."""
        fields = [one.name for one in self.changes(step)]
        if unknown := sorted(changes.keys() - set(fields)):
            raise ValueError(
                f"{', '.join(unknown)} cannot be changed at a step of kind {step.kind}; "
                f"{', '.join(fields) or 'nothing'} can"
            )
        left = {
            int(name.partition("_")[2]) for name, on in changes.items() if on and "without" in name
        }
        config = self.config.but(
            gate=changes.get("gate", self.config.gate),
            num_latents=changes.get("num_latents", self.config.num_latents),
            without=tuple(sorted({*self.config.without, *left})),
        )
        other = cast("Task | None", changes.get("other")) or self._other
        return LatentT5System(config, self.loaded, other=other)

    def again(self) -> "LatentT5System":
        """See `Branch.again`."""
        return self

    # -- the parts of a step ------------------------------------------------------------------

    def encoded(self, question: Task, state: object = None) -> Encoded:
        """See `T5System.encoded`."""
        memory = cast("Memory | None", state)
        if question.context:
            memory = self.memory(question.context)
        return self._encoded(question, memory)

    def _encoded(self, task: Task, memory: Memory | None) -> Encoded:
        config = self.config
        return self._latent.encode(
            *self._question(task),
            memory.read if memory else None,
            gate=config.gate,
            num_used=config.num_latents,
        )

    def _kept(self, found: Evidence) -> tuple[Paragraph, ...]:
        out = set(self.config.without)
        return tuple(one for rank, one in enumerate(found.used, start=1) if rank not in out)

    def _learned(self, task: Task) -> Memory:
        paragraphs = self._found(task)[0].used
        if not paragraphs:
            raise EngineError(f"nothing was found for {task.id!r}")
        return self.memory(paragraphs)

    def memory(self, paragraphs: Sequence[Paragraph]) -> Memory:
        """Return what is known of paragraphs, whatever will be asked."""
        built = self._built
        context = read_context(built.encoder_tokenizer, paragraphs, built.limits.context)
        ids, mask = padded([context.ids or (0,)], 0, self._device)
        with torch.inference_mode():
            return Memory(context, self._latent.read(ids, mask))

    def _num_bytes(self, memory: Memory) -> int:
        """What has to be kept to answer any question: the latents, or where they ask the states."""
        shape, states = self._latent.selector.shape, memory.read.states
        if shape.is_asked:
            return memory.read.num_bytes
        return shape.num_latents * states.shape[-1] * states.element_size()


def _open(system: str, name: str, device: str) -> Loaded:
    if not name:
        raise ConfigError(f"checkpoint: name the folder of one, as `pmi train {system}` makes them")
    if not Path(name).is_dir():
        raise ConfigError(f"checkpoint {name!r}: there is no such folder")
    found = read_checkpoint(Path(name), system=system)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return _read(found.folder, found.sha256, device)
    except (RuntimeError, AssertionError) as error:  # the latter: a torch without CUDA
        raise ConfigError(f"device {device!r}: {str(error).splitlines()[0]}") from None


@lru_cache(maxsize=2)
def _read(folder: Path, sha256: str, device: str) -> Loaded:
    where = torch.device(device)
    built = load(folder)
    built.model.to(where)
    return Loaded(built, where, sha256)


def _paragraphs(evidence: str | None) -> tuple[Paragraph, ...]:
    """The paragraphs of an evidence as a prompt has it: a line each, `title: text`."""
    told = [line.partition(": ") for line in (evidence or "").splitlines()]
    return tuple(
        Paragraph(title, (text,)) if text else Paragraph("", (title,)) for title, _, text in told
    )


def _as_read(context: Context) -> tuple[Passage, ...]:
    """The paragraphs as far as the encoder's limit let them be read."""
    last = context.places[-1][0] if context.places else -1
    texts = [""] * len(context.titles)
    for (at, _), piece in zip(context.places, context.pieces, strict=True):
        texts[at] += piece
    return tuple(
        Passage(
            index=at,
            title=title,
            text=texts[at],
            score=0.0,
            rank=at + 1,
            use=PassageUse.USED
            if at < last
            else PassageUse.CUT
            if at == last
            else PassageUse.LEFT_OUT,
        )
        for at, title in enumerate(context.titles)
    )


def _looked(context: Context, weights: Tensor) -> dict[str, object]:
    """Where each latent looked, word by word, in thousandths of its attention."""
    starts, lines, words = [], [], []
    for place, tokens_of in groupby(range(len(context.ids)), key=context.places.__getitem__):
        told: list[str] = []
        for at in tokens_of:
            piece = context.pieces[at]
            if not told or piece[:1].isspace():
                starts.append(at)
                told.append("")
            told[-1] += piece
        lines.append([*place, len(told)])
        words += [word.strip() for word in told]
    if not starts:
        return {"titles": [], "lines": [], "words": [], "attention": []}
    of_words = torch.stack(
        [part.sum(-1) for part in weights[:, : len(context.ids)].tensor_split(starts[1:], dim=1)], 1
    )
    return {
        "titles": list(context.titles),
        "lines": lines,
        "words": words,
        "attention": (1000 * of_words).round().int().tolist(),
    }
