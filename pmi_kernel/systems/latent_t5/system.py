"""The latent system: read the context, compress it, answer with the gate closed and open."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch

from pmi_kernel.core.errors import EngineError
from pmi_kernel.core.system import Field, FieldKind
from pmi_kernel.core.task import Paragraph, Task
from pmi_kernel.core.trace import (
    Change,
    Step,
    StepKind,
)
from pmi_kernel.retrieval import Evidence
from pmi_kernel.systems.latent_t5.answering import ENCODE, T5System
from pmi_kernel.systems.latent_t5.batches import (
    padded,
    question_text,
)
from pmi_kernel.systems.latent_t5.config import LatentT5Config
from pmi_kernel.systems.latent_t5.looking import as_read, looked
from pmi_kernel.systems.latent_t5.model import Encoded, LatentT5, Read
from pmi_kernel.systems.latent_t5.reading import Context, read_context

SELECT, CLOSED = "select", "closed"
"""Steps: the context is compressed; the question is answered with the gate closed."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What is known of a context: the state that a step carries.

    Attributes:
        context: As it was read.
        read: The encoder's states of it, or the latents in their place.
    """

    context: Context
    read: Read


class LatentT5System(T5System[LatentT5Config]):
    """Compresses the context; its steps need no memory of what was answered: it is its own branch.

    Args:
        config: The settings.
        loaded: As `T5System`.
        other: The task whose context is read in place of the episode's own.
    """

    tape: Sequence[object] = ()

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
        memory = self.memory(self._others(self._other) if self._other else self._kept(found))
        context = memory.context
        yield Step(
            ENCODE,
            question_text(task),
            passages=as_read(context) if context.cut_tokens else (),
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
                "attached_bytes": memory.read.num_bytes,
                "attach_s": time.perf_counter() - began,
            },
            artifacts=looked(context, weights[0]),
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
        self._others(task)
        return LatentT5System(self.config, self.loaded, other=task)

    @contextmanager
    def mislearned(self, task: Task, state: object = None) -> Iterator[object]:
        """See `Misleads.mislearned`; it takes the place of what was read before."""
        try:
            memory = self.memory(self._others(task))
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

    def _others(self, task: Task) -> tuple[Paragraph, ...]:
        """The paragraphs of another task."""
        paragraphs = self._found(task)[0].used
        if not paragraphs:
            raise EngineError(f"nothing was found for {task.id!r}")
        return paragraphs

    def memory(self, paragraphs: Sequence[Paragraph]) -> Memory:
        """Return what is known of paragraphs, whatever will be asked."""
        built = self._built
        context = read_context(built.encoder_tokenizer, paragraphs, built.limits.context)
        ids, mask = padded([context.ids or (0,)], 0, self._device)
        with torch.inference_mode():
            return Memory(context, self._latent.kept(self._latent.read(ids, mask)))
