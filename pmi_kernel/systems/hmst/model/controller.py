"""What decides how much of the hierarchy a question is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical

from pmi_kernel.systems.hmst.model.blocks import transformer

_WIDTH, _HEADS, _LAYERS = 64, 4, 6
_MOST_TOKENS = 32
FACTS = ("question_tokens", "episodic_entries", "episodic_score", "semantic_entries", "log_chance")
"""What a controller is told beside the question: tokens of the question and entries of both tiers
(as log(1 + n)), the best episodic score, and the base model's mean log-probability of the question
in nats."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from.

    Attributes:
        layers: Depths at which the base model may stop, the last of them all of it.
        entries: Numbers of semantic entries that may be fetched, 0 for none.
        num_experts: Of each block.
        least_experts: That stay open in any case.
    """

    layers: tuple[int, ...]
    entries: tuple[int, ...] = (0, 1, 3, 8)
    num_experts: int = 8
    least_experts: int = 2


@dataclass(frozen=True, slots=True)
class Decisions:
    """The five decisions on a question, with the chance that each had.

    Attributes:
        num_layers: Blocks of the base model that are run.
        episodic: Whether the last interactions are looked at.
        num_entries: Semantic entries that are fetched.
        experts: Those that may be chosen.
        verify: Whether the critic checks the answer.
        chances: Of each decision as it was taken, by name; of the experts, the mean of theirs.
    """

    num_layers: int
    episodic: bool
    num_entries: int
    experts: tuple[int, ...]
    verify: bool
    chances: dict[str, float]

    @property
    def forced(self) -> dict[str, Any]:
        """The decisions by name, as `HMSTInferenceEngine.ask` is forced to them."""
        return {
            "num_layers": self.num_layers,
            "episodic": self.episodic,
            "num_entries": self.num_entries,
            "experts": self.experts,
            "verify": self.verify,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a controller makes of actions.

    Attributes:
        logprob: Of each action, in nats, all five decisions together.
        entropy: Of all five, in nats.
        value: The reward that is expected.
    """

    logprob: Float[Tensor, " batch"]
    entropy: Float[Tensor, " batch"]
    value: Float[Tensor, " batch"]


class StateSummaryEncoder(nn.Module):
    """Puts a question's states and what is known beside them into tokens for the controller.

    Args:
        width: Of the base model's states.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, _WIDTH))
        self.place = nn.Parameter(torch.randn(_MOST_TOKENS, _WIDTH) * 0.02)
        self.facts = nn.Linear(len(FACTS), _WIDTH)

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch tokens"],
        facts: Float[Tensor, "batch facts"],
    ) -> tuple[Float[Tensor, "batch places 64"], Bool[Tensor, "batch places"]]:
        """Return the tokens, that of the facts first, and which of them there are.

        Args:
            hidden: A question's states; the last ones are taken.
            mask: Which of them there are, padded on the left.
            facts: Numbers in the order of `FACTS`.
        """
        hidden, mask = hidden[:, -_MOST_TOKENS:], mask[:, -_MOST_TOKENS:]
        read = self.project(hidden) + self.place[-hidden.shape[1] :]
        first = self.facts(facts).unsqueeze(1)
        return torch.cat([first, read], 1), torch.cat([mask.new_ones(len(mask), 1), mask], 1)


class MetaController(nn.Module):
    """A transformer of six light layers with a head for each decision, and one for the value.

    An action is a row of integers: places in `Choices.layers` and in `Choices.entries`, whether
    the episodic memory is looked at and whether the answer is verified, then a 1 for each expert
    that is open.

    Args:
        choices: What there is to choose from.
    """

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self.choices = choices
        self.body = transformer(_WIDTH, _HEADS, _LAYERS)
        self.norm = nn.LayerNorm(_WIDTH)
        self.sizes = (len(choices.layers), len(choices.entries), 2, 2, choices.num_experts)
        self.heads = nn.Linear(_WIDTH, sum(self.sizes))
        self.value = nn.Linear(_WIDTH, 1)
        nn.init.zeros_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)

    def act(
        self, state: tuple[Tensor, Tensor], *, is_greedy: bool = False
    ) -> Int[Tensor, "batch decisions"]:
        """Return an action for each state: drawn from torch's generator, or the likeliest."""
        with torch.no_grad():
            chosen, experts, _ = self._distributions(state)
            if is_greedy:
                parts = [one.probs.argmax(-1) for one in chosen]
                return torch.cat([torch.stack(parts, 1), (experts.probs > 0.5).long()], 1)
            parts = [one.sample() for one in chosen]
            return torch.cat([torch.stack(parts, 1), experts.sample().long()], 1)

    def judge(self, state: tuple[Tensor, Tensor], action: Int[Tensor, "batch decisions"]) -> Judged:
        """Return how likely actions are, how open all still is, and what is expected."""
        chosen, experts, value = self._distributions(state)
        parts = [one.log_prob(action[:, at]) for at, one in enumerate(chosen)]
        of_experts = experts.log_prob(action[:, len(chosen) :].float()).sum(-1)
        entropy = sum((one.entropy() for one in chosen), experts.entropy().sum(-1))
        return Judged(sum(parts, of_experts), entropy, value)

    def decisions(
        self, state: tuple[Tensor, Tensor], action: Int[Tensor, "batch decisions"]
    ) -> list[Decisions]:
        """Return what actions say; where too few experts are open, the likeliest others are too."""
        with torch.no_grad():
            chosen, experts, _ = self._distributions(state)
        found = []
        for row, numbers in enumerate(action.tolist()):
            chances = [
                one.probs[row, number].item() for one, number in zip(chosen, numbers, strict=False)
            ]
            bits = numbers[len(chosen) :]
            open_chances = experts.probs[row].tolist()
            ranked = sorted(range(len(bits)), key=lambda at: (-bits[at], -open_chances[at], at))
            kept = max(sum(bits), self.choices.least_experts)
            of_experts = [p if bit else 1 - p for bit, p in zip(bits, open_chances, strict=True)]
            names = ("layers", "entries", "episodic", "verify")
            found.append(
                Decisions(
                    self.choices.layers[numbers[0]],
                    bool(numbers[2]),
                    self.choices.entries[numbers[1]],
                    tuple(sorted(ranked[:kept])),
                    bool(numbers[3]),
                    dict(zip(names, chances, strict=True))
                    | {"experts": sum(of_experts) / len(of_experts)},
                )
            )
        return found

    def action(self, decisions: Sequence[Decisions]) -> Int[Tensor, "batch decisions"]:
        """Return the actions that say some decisions.

        Raises:
            ValueError: One of them is not among the choices.
        """
        rows = []
        for one in decisions:
            bits = [int(number in one.experts) for number in range(self.choices.num_experts)]
            rows.append(
                [
                    self.choices.layers.index(one.num_layers),
                    self.choices.entries.index(one.num_entries),
                    int(one.episodic),
                    int(one.verify),
                    *bits,
                ]
            )
        return torch.tensor(rows, device=self.heads.weight.device)

    def _distributions(
        self, state: tuple[Tensor, Tensor]
    ) -> tuple[list[Categorical], Bernoulli, Tensor]:
        tokens, mask = state
        found = self.norm(self.body(tokens, src_key_padding_mask=~mask)[:, 0])
        *chosen, experts = self.heads(found).split(self.sizes, -1)
        value = self.value(found).squeeze(-1)
        return (
            [Categorical(logits=one, validate_args=False) for one in chosen],
            Bernoulli(logits=experts, validate_args=False),
            value,
        )
