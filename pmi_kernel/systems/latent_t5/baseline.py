"""The baseline system: T5 reads question and context in one, as far as they fit."""

import time
from collections.abc import Generator, Sequence

import torch

from pmi_kernel.core.task import Paragraph, Task
from pmi_kernel.core.trace import (
    Step,
    StepKind,
)
from pmi_kernel.systems.latent_t5.answering import ENCODE, T5System
from pmi_kernel.systems.latent_t5.batches import (
    context_text,
    padded,
    question_text,
    tokens,
)
from pmi_kernel.systems.latent_t5.config import BaselineT5Config
from pmi_kernel.systems.latent_t5.model import Encoded


class BaselineT5System(T5System[BaselineT5Config]):
    """Reads question and context in one, as far as they fit."""

    def steps(self, task: Task) -> Generator[Step, None, None]:
        """Yield what is read, and the answer."""
        found, search = self._found(task)
        yield search
        began = time.perf_counter()
        rows, cut = self._rows(task, found.used)
        with torch.inference_mode():
            encoded = self.model.encode_text(*padded(rows, 0, self._device))
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
        return self.model.encode_text(*padded(rows, 0, self._device))
