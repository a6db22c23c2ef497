"""The learners of both systems."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import cast

from torch import Tensor

from pmi_kernel.systems.latent_t5.batches import (
    context_text,
    padded,
    tokens,
)
from pmi_kernel.systems.latent_t5.building import Built, Limits, build
from pmi_kernel.systems.latent_t5.model import (
    LatentT5,
    Read,
    Shape,
    coverage_loss,
    support_loss,
    support_mass,
)
from pmi_kernel.systems.latent_t5.reading import read_context
from pmi_kernel.systems.latent_t5.teaching import Asked, Batch, T5Learner
from pmi_kernel.systems.latent_t5.training import (
    BaselineT5Training,
    LatentT5Training,
)
from pmi_kernel.training.learner import Group, Sample


class BaselineT5Learner(T5Learner[BaselineT5Training]):
    """Trains a T5 that reads its context; see `Learner`."""

    system = "baseline_t5"

    def groups(self) -> Sequence[Group]:
        """See `Learner.groups`."""
        return [Group("t5", dict(self.model.named_parameters()))]

    def _build(self, texts: Iterator[str], tokenizer_of: Path | None) -> Built:
        config = self.config
        limits = Limits(config.max_input_tokens, 0, config.max_answer_tokens)
        return build(config.t5, limits, texts, seed=config.seed, tokenizer_of=tokenizer_of)

    def _batch(self, asked: Sequence[Asked], step: int | None = None) -> Batch:
        rows, cut = tokens(
            self.built.tokenizer,
            [f"{one.question} {context_text(one.context)}" for one in asked],
            self.config.max_input_tokens,
        )
        labels, cut_answers = self._labels(asked)
        read = padded(rows, self.built.tokenizer.pad_token_id, self.device)
        return Batch(self.model.encode_text(*read), labels, cut + cut_answers)


class LatentT5Learner(T5Learner[LatentT5Training]):
    """Trains encoder, selector and T5 together; see `Learner`."""

    system = "latent_t5"
    _parts = ("loss", "answer_loss", "support_loss", "copy_loss", "coverage_loss")

    def groups(self) -> Sequence[Group]:
        """See `Learner.groups`: each with a rate of its own."""
        config = self.config
        rates = {"encoder": config.lr_encoder, "t5": config.lr_t5, "latent": config.lr_latent}
        named: dict[str, dict[str, Tensor]] = {name: {} for name in rates}
        for name, tensor in self.model.named_parameters():
            part = name.partition(".")[0]
            named[part if part in rates else "latent"][name] = tensor
        return [Group(name, of, lr=rates[name]) for name, of in named.items() if of]

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        """See `Learner.update`."""
        is_frozen = self.config.is_t5_frozen(samples[0].step, samples[0].epoch)
        self.model.t5.requires_grad_(not is_frozen)
        try:
            found = super().update(samples, backward)
        finally:
            self.model.t5.requires_grad_(True)
        return {**found, "gate": cast("LatentT5", self.model).gate}

    def _build(self, texts: Iterator[str], tokenizer_of: Path | None) -> Built:
        config = self.config
        return build(
            config.t5,
            Limits(config.max_question_tokens, config.max_context_tokens, config.max_answer_tokens),
            texts,
            seed=config.seed,
            encoder=config.encoder,
            shape=Shape(
                config.num_latents,
                config.num_latent_layers,
                config.num_latent_heads,
                config.latent_dropout,
                config.latents == "asked",
                config.init_gate,
            ),
            tokenizer_of=tokenizer_of,
        )

    def _batch(self, asked: Sequence[Asked], step: int | None = None) -> Batch:
        model, built = cast("LatentT5", self.model), self.built
        each = dict.fromkeys(one.context for one in asked)
        contexts = {context: at for at, context in enumerate(each)}
        found = [read_context(built.encoder_tokenizer, c, built.limits.context) for c in contexts]
        pad = built.encoder_tokenizer.pad_token_id
        ids, mask = padded([one.ids for one in found], pad, self.device)
        mask[:, 0] = True  # attention over nothing is not a number
        read = model.read(ids, mask)
        rows, cut = tokens(
            built.tokenizer,
            [one.question for one in asked],
            self.config.max_question_tokens,
        )
        questions = padded(rows, built.tokenizer.pad_token_id, self.device)
        places = [contexts[one.context] for one in asked]
        seen = Read(read.states, mask, places)
        encoded = model.encode(*questions, seen, num_used=self._num_used(step))
        support = [
            found[place].support(one.support) for one, place in zip(asked, places, strict=True)
        ]
        labels, cut_answers = self._labels(asked)
        return Batch(
            encoded,
            labels,
            cut + cut_answers + sum(one.cut_tokens for one in found),
            padded(support, 0, self.device)[0].bool(),
        )

    def _num_used(self, step: int | None) -> int | None:
        draw = Random(f"latents/{self.config.seed}/{step}")
        if step is None or not self.config.vary_latents or draw.random() < 0.5:
            return None
        return max(1, self.config.num_latents >> draw.choice((1, 2, 3)))

    def _copy_losses(self, asked: Sequence[Asked], batch: Batch) -> dict[str, Tensor]:
        """Those of saying again what T5 reads itself, and what is behind the latents."""
        rows, _ = tokens(
            self.built.tokenizer, [one.target for one in asked], self.config.max_answer_tokens
        )
        read = padded(rows, self.built.tokenizer.pad_token_id, self.device)
        copied = self._answer_loss(replace(batch, encoded=self.model.encode_text(*read)))
        answer, weights = self._answer_loss(batch), batch.encoded.weights
        assert weights is not None
        assert batch.support is not None
        missed = coverage_loss(weights, batch.support)
        return {
            "loss": copied + answer + self.config.aux_loss_weight * missed,
            "copy_loss": copied,
            "answer_loss": answer,
            "coverage_loss": missed,
        }

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        answer, weights = self._answer_loss(batch), batch.encoded.weights
        assert weights is not None
        assert batch.support is not None
        support = support_loss(weights, batch.support)
        return {
            "loss": answer + self.config.aux_loss_weight * support,
            "answer_loss": answer,
            "support_loss": support,
        }

    def _looked(self, batch: Batch) -> dict[str, float]:
        weights, support = batch.encoded.weights, batch.support
        assert weights is not None
        assert support is not None
        return {"support_mass": support_mass(weights, support).sum().item()}
