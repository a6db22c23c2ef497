"""T5 that never sees its context: it answers from the question and a few gated latent vectors.

The latents are read out of the context by cross-attention from learned queries: Perceiver (Jaegle
et al. 2021, arXiv:2103.03206), as a resampler (Flamingo: Alayrac et al. 2022, arXiv:2204.14198,
section 3.1), with Flamingo's tanh gate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

_LEAST_MASS = 1e-6


@dataclass(frozen=True, slots=True)
class Shape:
    """What a selector is made of.

    Attributes:
        num_latents: Learned vectors.
        num_layers: Cross-attention blocks.
        num_heads: Of each.
        dropout: In [0, 1), on what each block adds.
        is_asked: Whether the learned vectors look at the question first.
        init_gate: The gate before its tanh, as it begins.
    """

    num_latents: int = 32
    num_layers: int = 2
    num_heads: int = 8
    dropout: float = 0.1
    is_asked: bool = False
    init_gate: float = 0.0


class Attention(nn.Module):
    """Attention with its weights: normalised before, with dropout on what it gives."""

    def __init__(self, width: int, heads: int, dropout: float, source_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.source_norm = nn.LayerNorm(width), nn.LayerNorm(source_width)
        self.query, self.give = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(source_width, width), nn.Linear(source_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch queries width"],
        source: Float[Tensor, "sources tokens source_width"],
        mask: Bool[Tensor, "sources tokens"],
        at: Int[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "batch queries width"], Float[Tensor, "batch queries tokens"]]:
        """Attend, each to the source at its place; keys and values of a source are made once."""
        source = self.source_norm(source)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(self.norm(x)), self.key(source), self.value(source))
        )
        scores = query @ key[at].transpose(2, 3) * query.shape[-1] ** -0.5
        weights = scores.masked_fill(~mask[at, None, None], -torch.inf).softmax(-1)
        given = (weights @ value[at]).transpose(1, 2).flatten(2)
        return x + self.dropout(self.give(given)), weights.mean(1)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, source: Tensor, mask: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        x, weights = self.attention(x, source, mask, at)
        return x + self.feed_forward(x), weights


class LatentSelector(nn.Module):
    """Compresses any number of context tokens to a few vectors.

    Args:
        width: Of the context's states, and of the latents.
        question_width: Of the question's states.
        shape: What it is made of.
    """

    def __init__(self, width: int, question_width: int, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.latents = nn.Parameter(torch.randn(shape.num_latents, width) * width**-0.5)
        self.asking = (
            Attention(width, shape.num_heads, shape.dropout, question_width)
            if shape.is_asked
            else None
        )
        self.blocks = nn.ModuleList(
            _Block(width, shape.num_heads, shape.dropout) for _ in range(shape.num_layers)
        )

    def forward(
        self, read: "Read", question: "Encoded"
    ) -> tuple[Float[Tensor, "batch latents width"], Float[Tensor, "batch latents tokens"]]:
        """Return each question's latents, and where the last block looked: each row sums to 1.

        Where the question is not looked at, all is done once a context.
        """
        places = torch.tensor(read.places, device=question.mask.device)
        places = places.expand(len(question.states))
        if self.asking is None:
            latents, weights = read.selected or self.selected(read)
            return latents[places], weights[places]
        own = torch.arange(len(places), device=places.device)
        asked, _ = self.asking(
            self.latents.expand(len(places), -1, -1), question.states, question.mask, own
        )
        return self._looked(asked, read, places)

    def selected(
        self, read: "Read"
    ) -> tuple[Float[Tensor, "contexts latents width"], Float[Tensor, "contexts latents tokens"]]:
        """Return each context's latents before any question, and where the last block looked."""
        every = torch.arange(len(read.states), device=read.states.device)
        return self._looked(self.latents.expand(len(every), -1, -1), read, every)

    def _looked(
        self, x: Float[Tensor, "batch latents width"], read: "Read", at: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch latents width"], Float[Tensor, "batch latents tokens"]]:
        weights = read.mask[at].float().unsqueeze(1)
        for block in self.blocks:
            x, weights = block(x, read.states, read.mask, at)
        return x, weights


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Contexts as they were read, and which of them each question looks at.

    Attributes:
        states: The encoder's, contexts x tokens x width.
        mask: Which of them are tokens.
        places: The context of each question; one for all of them, where there is one.
        selected: The latents of each and where they looked, in place of the states.
    """

    states: Float[Tensor, "contexts tokens width"]
    mask: Bool[Tensor, "contexts tokens"]
    places: Sequence[int] = (0,)
    selected: tuple[Tensor, Tensor] | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes of the states, or of the latents in their place."""
        kept = self.selected[0] if self.selected else self.states
        return kept.numel() * kept.element_size()


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What the decoder sees, and where its latents come from.

    Attributes:
        states: The question's states, then the gated latents.
        mask: Which of them there are.
        weights: The latents' attention over their context's tokens; None without a context.
    """

    states: Float[Tensor, "batch states width"]
    mask: Bool[Tensor, "batch states"]
    weights: Float[Tensor, "batch latents tokens"] | None


class BaselineT5(nn.Module):
    """T5 as it is: it answers from what its encoder read.

    Args:
        t5: An encoder-decoder with T5's interface.
    """

    def __init__(self, t5: Any) -> None:
        super().__init__()
        self.t5 = t5

    def gradient_checkpointing_enable(self) -> None:
        """Compute activations again on the way back."""
        self.t5.gradient_checkpointing_enable()

    def encode_text(
        self, ids: Int[Tensor, "batch words"], mask: Bool[Tensor, "batch words"]
    ) -> Encoded:
        """Return what the decoder sees of texts that T5 reads itself."""
        found = self.t5.encoder(input_ids=ids, attention_mask=mask.long())
        return Encoded(found.last_hidden_state, mask, None)

    def decode(
        self, encoded: Encoded, labels: Int[Tensor, "batch words"]
    ) -> Float[Tensor, "batch words vocabulary"]:
        """Return the logits of each token of answers, given those before it.

        Args:
            encoded: What the decoder sees.
            labels: The answers; -100 where there is none.
        """
        found = self.t5(**_seen(encoded), labels=labels, use_cache=False)
        return cast("Tensor", found.logits)

    def generate(
        self, encoded: Encoded, most_tokens: int, least_tokens: int = 0
    ) -> Int[Tensor, "batch words"]:
        """Return the likeliest answers, token by token."""
        found = self.t5.generate(
            **_seen(encoded),
            max_new_tokens=most_tokens,
            min_new_tokens=least_tokens,
            do_sample=False,
            num_beams=1,
        )
        return cast("Tensor", found)


class LatentT5(BaselineT5):
    """A context encoder, a selector and a T5; see the module.

    Args:
        t5: An encoder-decoder with T5's interface.
        encoder: Any encoder; T5's own, too.
        shape: Of the selector.
    """

    def __init__(self, t5: Any, encoder: Any, shape: Shape) -> None:
        super().__init__(t5)
        self.encoder = encoder
        width, own_width = encoder.config.hidden_size, t5.config.d_model
        self.selector = LatentSelector(width, own_width, shape)
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, own_width)
        self.latent_gate = nn.Parameter(torch.tensor(shape.init_gate))

    @property
    def gate(self) -> float:
        """How much of the latents the decoder sees: tanh of what was learned, in (-1, 1)."""
        return float(torch.tanh(self.latent_gate.detach()))

    def gradient_checkpointing_enable(self) -> None:
        """Compute activations of T5 and of the encoder again on the way back."""
        super().gradient_checkpointing_enable()
        self.encoder.gradient_checkpointing_enable()

    def read(
        self, ids: Int[Tensor, "contexts tokens"], mask: Bool[Tensor, "contexts tokens"]
    ) -> Read:
        """Return the encoder's states of contexts."""
        found = self.encoder(input_ids=ids, attention_mask=mask.long())
        return Read(found.last_hidden_state, mask)

    def kept(self, read: Read) -> Read:
        """Return what answers any question later: the states, or the latents that ask nothing."""
        if self.selector.asking is not None:
            return read
        nothing = read.states.new_zeros(len(read.states), 0, read.states.shape[-1])
        return Read(nothing, read.mask, read.places, self.selector.selected(read))

    def encode(
        self,
        ids: Int[Tensor, "batch words"],
        mask: Bool[Tensor, "batch words"],
        read: Read | None = None,
        *,
        gate: float | None = None,
        num_used: int | None = None,
    ) -> Encoded:
        """Return what the decoder sees; training and answering both use this.

        Args:
            ids: The questions.
            mask: Which of them are tokens.
            read: A context for each; None: the gate is closed, whatever there was to be read.
            gate: In place of the learned one, in [-1, 1].
            num_used: Latents that are used, the first ones; None for all.
        """
        encoded = self.encode_text(ids, mask)
        if read is None:
            shape = self.selector.latents[:num_used].shape[0], encoded.states.shape[-1]
            given, weights = encoded.states.new_zeros(len(ids), *shape), None
        else:
            latents, weights = self.selector(read, encoded)
            latents, weights = latents[:, :num_used], weights[:, :num_used]
            is_open = torch.tanh(self.latent_gate) if gate is None else gate
            given = is_open * self.project(self.norm(latents))
        there = mask.new_ones(given.shape[:2])
        return Encoded(torch.cat([encoded.states, given], 1), torch.cat([mask, there], 1), weights)


def _seen(encoded: Encoded) -> dict[str, object]:
    return {
        "encoder_outputs": BaseModelOutput(
            last_hidden_state=cast("torch.FloatTensor", encoded.states)
        ),
        "attention_mask": encoded.mask.long(),
    }


def support_mass(
    weights: Float[Tensor, "batch latents tokens"], support: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, " batch"]:
    """Return the share of the latents' attention that lies on supporting tokens, in [0, 1]."""
    return (weights.float() * support.unsqueeze(1)).sum(-1).mean(-1)


def support_loss(
    weights: Float[Tensor, "batch latents tokens"], support: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, ""]:
    """Return the mean of -log(attention mass on support), in nats; at most 13.8 a sample.

    Samples without a supporting token (none known, or cut off) do not count; 0 where there is none.
    """
    has_some = support.any(-1)
    mass = support_mass(weights, support).clamp(_LEAST_MASS, 1.0)
    return (-mass.log() * has_some).sum() / has_some.sum().clamp(min=1)


def coverage_loss(
    weights: Float[Tensor, "batch latents tokens"], support: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, ""]:
    """Return how far the latents' summed attention is from all of the support alike, in nats.

    That is the divergence of an even distribution over the supporting tokens from it: 0 where each
    of them gets as much, and nothing else gets any. Samples without support do not count.
    """
    count = support.sum(-1)
    logs = weights.float().mean(1).clamp(min=_LEAST_MASS).log()
    apart = -(logs * support).sum(-1) / count.clamp(min=1) - count.clamp(min=1).float().log()
    return (apart * (count > 0)).sum() / (count > 0).sum().clamp(min=1)
