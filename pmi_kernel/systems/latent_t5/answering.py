"""What both systems have in common: a checkpoint, how it is asked, and how it answers."""

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from pmi_kernel.core import progress
from pmi_kernel.core.answers import AnswerForm
from pmi_kernel.core.probe import GoldScore
from pmi_kernel.core.system import Question, Reply
from pmi_kernel.core.task import Paragraph, Task
from pmi_kernel.core.trace import (
    UNKNOWN,
    EndReason,
    ParseOutcome,
    Step,
    StepKind,
)
from pmi_kernel.engines.device import choose_device
from pmi_kernel.retrieval import Evidence
from pmi_kernel.retrieval.foreseen import first_search
from pmi_kernel.systems.checkpoints import find_checkpoint
from pmi_kernel.systems.config import CheckpointConfig
from pmi_kernel.systems.latent_t5.batches import (
    NO_LABEL,
    padded,
    question_text,
    tokens,
)
from pmi_kernel.systems.latent_t5.building import Built, load
from pmi_kernel.systems.latent_t5.model import BaselineT5, Encoded

if TYPE_CHECKING:
    import numpy as np

Config = TypeVar("Config", bound=CheckpointConfig)

ENCODE = "encode"
"""The step at which the context is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A checkpoint's model on its device."""

    built: Built
    device: torch.device
    sha256: str


class T5System(ABC, Generic[Config]):
    """What both systems have in common; see `System` and `Asks`.

    Args:
        config: The settings.
        loaded: What another such system has loaded; read from the checkpoint where None.

    Raises:
        ConfigError: There is no such checkpoint, or it is torn, altered or another system's.
    """

    max_concurrency: int | None = 1

    def __init__(self, config: Config, loaded: object = None) -> None:
        self.config = config
        self._retriever = config.build_retriever()
        if not isinstance(loaded, Loaded):
            found = find_checkpoint(config.checkpoint, system=config.system)
            loaded = _read(found.folder, found.sha256, choose_device(config.device))
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
        return first_search(self.config, task, self._retriever)

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


@lru_cache(maxsize=2)
def _read(folder: Path, sha256: str, device: torch.device) -> Loaded:
    built = load(folder)
    built.model.to(device)
    return Loaded(built, device, sha256)


def _paragraphs(evidence: str | None) -> tuple[Paragraph, ...]:
    """The paragraphs of an evidence as a prompt has it: a line each, `title: text`."""
    told = [line.partition(": ") for line in (evidence or "").splitlines()]
    return tuple(
        Paragraph(title, (text,)) if text else Paragraph("", (title,)) for title, _, text in told
    )
