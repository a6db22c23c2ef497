"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), in plain lines.

With the details that matter in practice (Huang et al. 2022, "The 37 implementation details of
PPO"): advantages by GAE (Schulman et al. 2015, arXiv:1506.02438), normalised a batch; clipped
ratios; an entropy bonus; a clipped norm; an end of an update where the policy has moved enough.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pmi_kernel.core.settings import Settings


class PPO(Settings):
    """How a policy learns from what it did."""

    gamma: float = 0.99
    """Discount of a reward a step later."""
    gae_lambda: float = 0.95
    """Weight of longer returns in an advantage: 0, one step; 1, all of them."""
    clip: float = 0.2
    """Most that the ratio of new and old chance may leave 1."""
    entropy: float = 0.01
    """Weight of the policy's entropy."""
    value: float = 0.5
    """Weight of the squared error of the value."""
    rounds: int = 4
    """Passes over a batch."""
    minibatch: int = 64
    """Steps that are learned from at once."""
    lr: float = 3e-4
    """Learning rate of Adam."""
    max_norm: float = 0.5
    """Most norm of a gradient."""
    target_kl: float = 0.03
    """Policy's move, in nats, that ends an update."""


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """What was done: steps in time order for some environments side by side.

    Attributes:
        logprob: Of what was done, when it was.
        value: That was expected then.
        reward: That came.
        is_end: Whether an episode ended with it.
        last_value: Expected after the last step, where the episode goes on.
    """

    logprob: Float[Tensor, "steps environments"]
    value: Float[Tensor, "steps environments"]
    reward: Float[Tensor, "steps environments"]
    is_end: Bool[Tensor, "steps environments"]
    last_value: Float[Tensor, " environments"]


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """What some steps of a rollout are to a policy as it is now, each one a row.

    Attributes:
        logprob: Of what was done.
        entropy: Of the policy there.
        value: Expected there.
    """

    logprob: Float[Tensor, " rows"]
    entropy: Float[Tensor, " rows"]
    value: Float[Tensor, " rows"]


def advantages(
    rollout: Rollout, gamma: float, gae_lambda: float
) -> tuple[Float[Tensor, "steps environments"], Float[Tensor, "steps environments"]]:
    """Return generalised advantages, and the returns that the value is to be."""
    found = torch.zeros_like(rollout.reward)
    after, following = torch.zeros_like(rollout.last_value), rollout.last_value
    for step in reversed(range(len(found))):
        goes_on = (~rollout.is_end[step]).float()
        error = rollout.reward[step] + gamma * following * goes_on - rollout.value[step]
        after = error + gamma * gae_lambda * goes_on * after
        found[step], following = after, rollout.value[step]
    return found, found + rollout.value


def losses(
    now: Policy,
    logprob: Float[Tensor, " rows"],
    advantage: Float[Tensor, " rows"],
    returns: Float[Tensor, " rows"],
    config: PPO,
) -> dict[str, Float[Tensor, ""]]:
    """Return `loss` and its parts on some steps, and how far the policy has moved (in nats).

    Args:
        now: The policy as it is, on these steps.
        logprob: Of what was done, when it was.
        advantage: Of it; normalised here.
        returns: What the value is to be.
        config: How a policy learns.
    """
    ratio = (now.logprob - logprob).exp()
    if len(advantage) > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
    value_loss = (now.value - returns).square().mean()
    entropy = now.entropy.mean()
    return {
        "loss": policy_loss + config.value * value_loss - config.entropy * entropy,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "moved_nats": (ratio.detach() - 1 - (now.logprob - logprob).detach()).mean(),
    }


class Learner:
    """Learns from one rollout after the other.

    Args:
        parameters: What is trained.
        config: How.
        seed: Of the order in which steps are taken.
    """

    def __init__(self, parameters: Iterable[Tensor], config: PPO, seed: int = 0) -> None:
        self.config, self._parameters = config, list(parameters)
        self._optimizer = torch.optim.Adam(self._parameters, lr=config.lr, eps=1e-5)
        self._draw = torch.Generator().manual_seed(seed)

    def update(self, rollout: Rollout, judge: Callable[[Tensor], Policy]) -> dict[str, float]:
        """Learn, and return losses, entropy and moves, the means over the minibatches.

        Args:
            rollout: What was done.
            judge: The policy as it is now on some rows of the rollout, numbered step by step.
        """
        config = self.config
        advantage, returns = (
            one.flatten() for one in advantages(rollout, config.gamma, config.gae_lambda)
        )
        old = rollout.logprob.flatten()
        told: dict[str, list[float]] = {}
        for _ in range(config.rounds):
            order = torch.randperm(len(old), generator=self._draw)
            for rows in order.split(config.minibatch):
                found = losses(judge(rows), old[rows], advantage[rows], returns[rows], config)
                self._optimizer.zero_grad()
                found["loss"].backward()
                torch.nn.utils.clip_grad_norm_(self._parameters, config.max_norm)
                self._optimizer.step()
                for name in ("policy_loss", "value_loss", "entropy", "moved_nats"):
                    told.setdefault(name, []).append(found[name].item())
            if told["moved_nats"][-1] > config.target_kl:
                break
        return {name: sum(values) / len(values) for name, values in told.items()}
