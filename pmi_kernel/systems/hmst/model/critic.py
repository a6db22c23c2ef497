"""Whether an answer follows from a question and its evidence, as a calibrated probability."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from pmi_kernel.systems.hmst.model.blocks import transformer

_WIDTH, _HEADS = 128, 4
QUESTION, EVIDENCE, ANSWER = range(3)
"""What a token is part of."""
_MOST_TEMPERATURE = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What a critic thinks of answers, each in [0, 1].

    Attributes:
        logical: Whether it is an answer to such a question.
        factual: Whether the evidence says it.
        probability: Of both together, calibrated.
    """

    logical: Float[Tensor, " batch"]
    factual: Float[Tensor, " batch"]
    probability: Float[Tensor, " batch"]


class CriticModel(nn.Module):
    """Reads the base model's states of question, evidence and answer.

    Args:
        width: Of those states.
        num_layers: Blocks of its own.
    """

    temperature: Tensor

    def __init__(self, width: int, num_layers: int = 2) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, _WIDTH))
        self.parts = nn.Embedding(3, _WIDTH)
        self.first = nn.Parameter(torch.randn(_WIDTH) * 0.02)
        self.body = transformer(_WIDTH, _HEADS, num_layers)
        self.norm = nn.LayerNorm(_WIDTH)
        self.logical, self.factual = nn.Linear(_WIDTH, 1), nn.Linear(_WIDTH, 1)
        self.register_buffer("temperature", torch.ones(()))

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch tokens"],
        parts: Int[Tensor, "batch tokens"],
    ) -> Verdict:
        """Return what it thinks.

        Args:
            hidden: States of question, evidence and answer in a row.
            mask: Which of them there are.
            parts: `QUESTION`, `EVIDENCE` or `ANSWER` for each.
        """
        logical, factual = self.logits(hidden, mask, parts)
        return Verdict(logical.sigmoid(), factual.sigmoid(), self.together((logical, factual)))

    def logits(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch tokens"],
        parts: Int[Tensor, "batch tokens"],
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Return both heads' log-odds, not calibrated."""
        read = self.project(hidden) + self.parts(parts)
        first = self.first.expand(len(read), 1, -1)
        there = torch.cat([mask.new_ones(len(mask), 1), mask], 1)
        found = self.body(torch.cat([first, read], 1), src_key_padding_mask=~there)
        first = self.norm(found[:, 0])
        return self.logical(first).squeeze(-1), self.factual(first).squeeze(-1)

    def together(
        self, logits: tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]
    ) -> Float[Tensor, " batch"]:
        """Return the calibrated probability that both heads' log-odds amount to."""
        return (_both(*logits) / self.temperature).sigmoid()

    def loss(
        self,
        logits: tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]],
        is_logical: Bool[Tensor, " batch"],
        is_factual: Bool[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        """Return the sum of both heads' cross-entropies, in nats."""
        return sum(
            (
                binary_cross_entropy_with_logits(one, truth.float())
                for one, truth in zip(logits, (is_logical, is_factual), strict=True)
            ),
            start=torch.zeros((), device=logits[0].device),
        )

    def calibrate(
        self,
        logits: tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]],
        is_right: Bool[Tensor, " batch"],
    ) -> float:
        """Set the temperature on other answers (Guo et al. 2017, arXiv:1706.04599); return it."""
        both = _both(*logits).detach()
        log_temperature = torch.zeros((), requires_grad=True)
        optimizer = torch.optim.LBFGS([log_temperature], max_iter=50, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = binary_cross_entropy_with_logits(both / log_temperature.exp(), is_right.float())
            loss.backward()
            return loss

        optimizer.step(closure)
        found = log_temperature.detach().exp().clamp(1 / _MOST_TEMPERATURE, _MOST_TEMPERATURE)
        self.temperature.copy_(found)
        return float(found)


def _both(logical: Tensor, factual: Tensor) -> Tensor:
    """Log-odds of two things together that are judged apart."""
    log_both = logsigmoid(logical) + logsigmoid(factual)
    return log_both - torch.log(-torch.expm1(log_both.clamp(max=-1e-6)))


def calibration_error(
    probabilities: Sequence[float], is_right: Sequence[bool], num_bins: int = 10
) -> float:
    """Return the expected calibration error (Naeini et al. 2015) over bins of equal width."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for one, right in zip(probabilities, is_right, strict=True):
        bins.setdefault(min(int(one * num_bins), num_bins - 1), []).append((one, right))
    gaps = (
        abs(sum(p for p, _ in found) - sum(right for _, right in found)) for found in bins.values()
    )
    return sum(gaps) / len(probabilities)


def auroc(scores: Sequence[float], is_right: Sequence[bool]) -> float:
    """Return the chance that a right answer has the higher score; ties count half.

    Raises:
        ValueError: All are right, or none is.
    """
    right = [one for one, truth in zip(scores, is_right, strict=True) if truth]
    wrong = [one for one, truth in zip(scores, is_right, strict=True) if not truth]
    if not right or not wrong:
        raise ValueError("right answers and wrong ones are needed")
    ahead = sum((one > other) + 0.5 * (one == other) for one in right for other in wrong)
    return ahead / (len(right) * len(wrong))
