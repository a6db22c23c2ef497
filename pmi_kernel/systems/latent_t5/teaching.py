"""What both learners have in common: answers by teacher forcing, copying at first, evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

import torch
from torch import Tensor

from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.task import Example, Paragraph, titled
from pmi_kernel.data import load_examples, load_stream, trained_hashes
from pmi_kernel.data.tokens import tokenizer_sha256
from pmi_kernel.engines.device import choose_device
from pmi_kernel.systems.checkpoints import find_checkpoint
from pmi_kernel.systems.latent_t5.batches import (
    NO_LABEL,
    gold_text,
    named,
    padded,
    question_text,
    tokens,
    trimmed,
)
from pmi_kernel.systems.latent_t5.building import Built
from pmi_kernel.systems.latent_t5.model import (
    Encoded,
)
from pmi_kernel.systems.latent_t5.training import (
    T5Training,
)
from pmi_kernel.training.learner import Evaluated, Group, Sample

Config = TypeVar("Config", bound=T5Training)

_TOKENIZER_SAMPLES = 3_000
_EVALUATED_TOGETHER = 20
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, what is to be said to it, and the context that it is asked about."""

    question: str
    target: str
    context: tuple[Paragraph, ...]
    support: frozenset[tuple[int, int]]

    @classmethod
    def of(
        cls, example: Example, context: tuple[Paragraph, ...], *, is_quoted: bool = False
    ) -> "Asked":
        """An example's question; where it is to be quoted, what supports the answer is said."""
        facts = {(fact.title, fact.sentence) for fact in example.gold.supporting_facts}
        support = frozenset(
            (at, number)
            for at, paragraph in enumerate(context)
            for number in range(len(paragraph.sentences))
            if (paragraph.title, number) in facts
        )
        question, target = question_text(example.task), gold_text(example)
        if is_quoted and support:
            question = f"quote: {question}"
            target = " ".join(context[at].sentences[number] for at, number in sorted(support))
        return cls(question, target, context, support)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Questions as the model takes them.

    Attributes:
        encoded: What the decoder sees.
        labels: The answers.
        cut_tokens: What was cut off of contexts, questions and answers.
        support: Which context tokens support the answer; None where no context is looked at.
    """

    encoded: Encoded
    labels: Tensor
    cut_tokens: int
    support: Tensor | None = None


class T5Learner(ABC, Generic[Config]):
    """What both learners have in common; see `Learner`.

    Args:
        config: The settings.

    Raises:
        ConfigError: A model cannot be loaded, or does not fit.
        DataError: The data cannot be read.
    """

    system: str
    _parts: tuple[str, ...] = ("loss", "copy_loss")
    """Of the loss, as the log has them; what a step has not is 0."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self._data = load_stream(config.data)
        self.num_samples = len(self._data) // config.questions
        self._dev = load_examples(config.eval_data)[: config.eval_questions]
        found = find_checkpoint(config.init, system=self.system) if config.init else None
        self.built = self._build(self._texts(), found.folder if found else None)
        self.model = self.built.model.to(self.device)
        if found:
            self.load(found.folder)
        self._init_sha256 = found.sha256 if found else ""

    @abstractmethod
    def _build(self, texts: Iterator[str], tokenizer_of: Path | None) -> Built: ...

    @abstractmethod
    def groups(self) -> Sequence[Group]:
        """See `Learner.groups`."""

    @abstractmethod
    def _batch(self, asked: Sequence[Asked], step: int | None = None) -> Batch:
        """Questions for a training's step, or for an evaluation."""

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        """See `Learner.update`."""
        self.model.train()
        is_copied = samples[0].step < self.config.copy_steps
        drawn = self._to_copy if is_copied else self._asked
        asked = [one for sample in samples for one in drawn(sample)]
        batch = self._batch(asked, samples[0].step)
        losses = self._copy_losses(asked, batch) if is_copied else self._losses(batch)
        backward(losses["loss"])
        return {
            **dict.fromkeys(self._parts, 0.0),
            **{name: one.item() for name, one in losses.items()},
            "cut_tokens": batch.cut_tokens,
            "num_tokens": int((batch.labels != NO_LABEL).sum()),
        }

    def evaluate(self) -> Evaluated:
        """See `Learner.evaluate`: `loss` is that of the answers; EM and F1 are in [0, 1]."""
        self.model.eval()
        sums: dict[str, float] = {}
        shown: list[Mapping[str, str]] = []
        with torch.no_grad():
            for first in range(0, len(self._dev), _EVALUATED_TOGETHER):
                part = self._dev[first : first + _EVALUATED_TOGETHER]
                for name, value in self._evaluated(part, shown).items():
                    sums[name] = sums.get(name, 0.0) + value
        return Evaluated(
            {name: value / len(self._dev) for name, value in sums.items()}, tuple(shown[:_SHOWN])
        )

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""
        self.built.save(folder)

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        self.built.take(folder)

    def facts(self) -> Mapping[str, object]:
        """See `Learner.facts`."""
        return {
            "models": dict(self.built.names),
            "parameters": sum(one.numel() for one in self.model.parameters()),
            "tokenizer_sha256": tokenizer_sha256(self.built.tokenizer),
            "context_tokens": self.built.limits.context,
            **trained_hashes(self.config.data, self.config.eval_data),
            "init_sha256": self._init_sha256,
        }

    # -- the parts ----------------------------------------------------------------------------

    def _texts(self) -> Iterator[str]:
        """What a tokenizer of its own is trained on: some of the questions, all that is theirs."""
        step = max(1, len(self._data) // _TOKENIZER_SAMPLES)
        for example in islice((self._data[at] for at in range(0, len(self._data), step)), 3_000):
            yield question_text(example.task)
            yield gold_text(example)
            for paragraph in trimmed(example, 2):
                yield titled(paragraph.title, paragraph.text)

    def _asked(self, sample: Sample) -> list[Asked]:
        config, found = self.config, list[Asked]()
        most = config.most_paragraphs(sample.step)
        draw = Random(f"{config.seed}/{sample.epoch}/{sample.number}")
        for place in range(config.questions):
            example = self._data[sample.number * config.questions + place]
            is_quoted = draw.random() < config.quote
            found.append(Asked.of(example, trimmed(example, most), is_quoted=is_quoted))
        return found

    def _labels(self, asked: Sequence[Asked]) -> tuple[Tensor, int]:
        rows, cut = tokens(
            self.built.tokenizer,
            [one.target for one in asked],
            self.config.max_answer_tokens,
        )
        return padded(rows, NO_LABEL, self.device)[0], cut

    def _to_copy(self, sample: Sample) -> list[Asked]:
        """A few sentences of a paragraph that is named, for each question."""
        config, found = self.config, list[Asked]()
        draw = Random(f"copy/{config.seed}/{sample.epoch}/{sample.number}")
        for place in range(config.questions):
            example = self._data[sample.number * config.questions + place]
            if (drawn := named(example, draw)) is not None:
                wanted, context = drawn
                text = " ".join(" ".join(one.split()) for one in wanted.sentences)
                at = context.index(wanted)
                support = frozenset((at, number) for number in range(len(wanted.sentences)))
                found.append(Asked(f"copy: {wanted.title}", text, context, support))
        return found or self._asked(sample)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss, and its parts, in nats."""
        return {"loss": self._answer_loss(batch)}

    def _copy_losses(self, asked: Sequence[Asked], batch: Batch) -> dict[str, Tensor]:
        """Those of saying again what was read."""
        loss = self._answer_loss(batch)
        return {"loss": loss, "copy_loss": loss}

    def _answer_loss(self, batch: Batch) -> Tensor:
        logits = self.model.decode(batch.encoded, batch.labels).float()
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels.flatten(), ignore_index=NO_LABEL
        )

    def _evaluated(
        self, part: Sequence[Example], shown: list[Mapping[str, str]]
    ) -> dict[str, float]:
        """The sums over some questions; a few of them are added to what is shown."""
        batch = self._batch([Asked.of(example, example.task.context) for example in part])
        answers = self._answers(batch.encoded)
        scores = [
            score_answer(answer, example.gold.answers)
            for answer, example in zip(answers, part, strict=True)
        ]
        shown += [
            {"question": e.task.question, "answer": answer, "gold": e.gold.answers[0]}
            for e, answer in zip(part, answers, strict=True)
        ]
        return {
            "loss": self._answer_loss(batch).item() * len(part),
            "em": sum(one.em for one in scores),
            "f1": sum(one.f1 for one in scores),
            **self._looked(batch),
        }

    def _looked(self, batch: Batch) -> dict[str, float]:
        """What else an evaluation measures, summed over a batch."""
        return {}

    def _answers(self, encoded: Encoded) -> list[str]:
        ids = self.model.generate(encoded, self.config.max_answer_tokens)
        texts = self.built.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]
