"""The critic: what it learns, how sure it says it is, and how that is measured."""

import math

import pytest
import torch
from torch import Tensor

from pmi_kernel.systems.hmst import CriticModel
from pmi_kernel.systems.hmst.model.critic import (
    ANSWER,
    EVIDENCE,
    QUESTION,
    auroc,
    calibration_error,
)

WIDTH = 16


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Answers that are of the asked kind (first number alike), and in the evidence (second one)."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(count, 6, WIDTH, generator=draw)
    is_logical, is_factual = torch.rand(2, count, generator=draw) < 0.5
    side = torch.where(is_logical, 3.0, -3.0)
    hidden[:, 0, 0], hidden[:, 5, 0] = 3.0, side
    hidden[:, 2, 1], hidden[:, 5, 1] = 3.0, torch.where(is_factual, 3.0, -3.0)
    parts = torch.tensor([QUESTION, QUESTION, EVIDENCE, EVIDENCE, EVIDENCE, ANSWER])
    mask = torch.ones(count, 6, dtype=torch.bool)
    return hidden, mask, parts.expand(count, -1), is_logical, is_factual


@pytest.fixture(scope="module")
def critic() -> CriticModel:
    torch.manual_seed(0)
    critic = CriticModel(WIDTH)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
    for step in range(60):
        *given, is_logical, is_factual = drawn(64, step)
        optimizer.zero_grad()
        critic.loss(critic.logits(*given), is_logical, is_factual).backward()
        optimizer.step()
    return critic.eval()


@torch.no_grad()
def test_both_heads_learn_their_own(critic: CriticModel) -> None:
    *given, is_logical, is_factual = drawn(200, 999)
    found = critic(*given)
    assert auroc(found.logical.tolist(), is_logical.tolist()) > 0.95
    assert auroc(found.factual.tolist(), is_factual.tolist()) > 0.95
    assert auroc(found.probability.tolist(), (is_logical & is_factual).tolist()) > 0.95
    at_most = torch.minimum(found.logical, found.factual)
    assert critic.temperature.item() == 1.0
    assert (found.probability <= at_most + 1e-4).all()


def test_it_is_as_sure_as_it_is_right(critic: CriticModel) -> None:
    *given, is_logical, is_factual = drawn(400, 998)
    is_right = is_logical & is_factual
    is_right[:120] = torch.rand(120, generator=torch.Generator().manual_seed(3)) < 0.5  # noise
    with torch.no_grad():
        before = critic(*given).probability.tolist()
        temperature = critic.calibrate(critic.logits(*given), is_right)
        after = critic(*given).probability.tolist()
    assert temperature > 1.0
    errors = [calibration_error(one, is_right.tolist()) for one in (before, after)]
    assert errors[1] < errors[0]
    critic.temperature.fill_(1.0)


@torch.no_grad()
def test_what_is_padded_does_not_count(critic: CriticModel) -> None:
    hidden, mask, parts, *_ = drawn(3, 997)
    junk = torch.cat([hidden, torch.full((3, 2, WIDTH), 9.0)], 1)
    there = torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], 1)
    more = torch.cat([parts, torch.full((3, 2), ANSWER)], 1)
    torch.testing.assert_close(
        critic(hidden, mask, parts).probability, critic(junk, there, more).probability
    )


def test_certainty_has_finite_odds(critic: CriticModel) -> None:
    extreme = torch.tensor([80.0, -80.0, 0.0])
    critic.calibrate((extreme, extreme), torch.tensor([True, False, True]))
    assert math.isfinite(critic.temperature.item())
    critic.temperature.fill_(1.0)


def test_calibration_error_is_the_gap_of_each_bin() -> None:
    assert calibration_error([0.95, 0.95, 0.05, 0.05], [True, True, False, False]) == pytest.approx(
        0.05
    )
    assert calibration_error([0.9, 0.9], [True, False]) == pytest.approx(0.4)
    assert calibration_error([1.0], [True]) == 0
    assert calibration_error([0.2, 0.8], [False, True]) == pytest.approx(0.2)


def test_auroc_counts_pairs() -> None:
    assert auroc([0.9, 0.4, 0.6, 0.1], [True, True, False, False]) == 0.75
    assert auroc([0.5, 0.5], [True, False]) == 0.5
    with pytest.raises(ValueError, match="right answers"):
        auroc([0.5], [True])
