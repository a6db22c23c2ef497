"""PPO on problems whose answer is known, and the controller that learns by it."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from pmi_kernel.systems.hmst import MetaController, StateSummaryEncoder
from pmi_kernel.systems.hmst.model.controller import FACTS, Choices
from pmi_kernel.systems.hmst.train.ppo import PPO, Learner, Policy, Rollout, advantages


def test_advantages_are_sums_of_discounted_errors() -> None:
    draw = torch.Generator().manual_seed(0)
    steps, gamma, weight = 9, 0.9, 0.7
    value, reward = torch.randn(steps, 2, generator=draw), torch.randn(steps, 2, generator=draw)
    is_end = torch.zeros(steps, 2, dtype=torch.bool)
    is_end[3, 0] = is_end[8, 1] = True
    last = torch.tensor([0.5, -0.5])
    found, returns = advantages(Rollout(value * 0, value, reward, is_end, last), gamma, weight)
    following = torch.cat([value[1:], last[None]]) * ~is_end
    errors = reward + gamma * following - value
    for row in range(2):
        for step in range(steps):
            total, factor = 0.0, 1.0
            for later in range(step, steps):
                total += factor * errors[later, row].item()
                factor *= gamma * weight
                if is_end[later, row]:
                    break
            assert found[step, row].item() == pytest.approx(total, abs=1e-5)
    torch.testing.assert_close(returns, found + value)


def test_a_bandits_best_arm_is_found() -> None:
    torch.manual_seed(0)
    chances = torch.tensor([0.2, 0.5, 0.8, 0.4])
    logits, value = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(1))
    learner = Learner([logits, value], PPO(lr=0.05, entropy=0.0))
    for _ in range(40):
        arms = Categorical(logits=logits.detach()).sample((1, 64))
        reward = torch.bernoulli(chances[arms])
        rollout = Rollout(
            Categorical(logits=logits.detach()).log_prob(arms),
            value.detach().expand(1, 64),
            reward,
            torch.ones(1, 64, dtype=torch.bool),
            torch.zeros(64),
        )

        def judge(rows: Tensor, arms: Tensor = arms) -> Policy:
            policy = Categorical(logits=logits.expand(len(rows), -1))
            return Policy(
                policy.log_prob(arms.flatten()[rows]), policy.entropy(), value.expand(len(rows))
            )

        learner.update(rollout, judge)
    assert logits.softmax(0)[2].item() > 0.9
    assert value.item() == pytest.approx(0.8, abs=0.1)


class Corridor:
    """Five rooms in a row: a little is to be had at the left end, much at the right one."""

    rooms, gamma, left, right = 5, 0.9, 0.3, 1.0

    def __init__(self, count: int) -> None:
        self.places = torch.full((count,), 1)

    def step(self, action: Tensor) -> tuple[Tensor, Tensor]:
        self.places = self.places + 2 * action - 1
        is_end = (self.places < 0) | (self.places >= self.rooms)
        reward = torch.where(self.places < 0, self.left, 0.0) + torch.where(
            self.places >= self.rooms, self.right, 0.0
        )
        self.places = torch.where(is_end, torch.ones_like(self.places), self.places)
        return reward, is_end

    @classmethod
    def best(cls) -> list[float]:
        values = [0.0] * cls.rooms
        for _ in range(100):
            values = [
                max(
                    cls.left if place == 0 else cls.gamma * values[place - 1],
                    cls.right if place == cls.rooms - 1 else cls.gamma * values[place + 1],
                )
                for place in range(cls.rooms)
            ]
        return values


def test_a_known_problem_is_solved() -> None:
    torch.manual_seed(0)
    logits = nn.Parameter(torch.zeros(Corridor.rooms, 2))
    values = nn.Parameter(torch.zeros(Corridor.rooms))
    config = PPO(lr=0.05, gamma=Corridor.gamma, entropy=0.003)
    learner, world = Learner([logits, values], config), Corridor(16)
    for _ in range(60):
        seen, taken, logprobs, rewards, ends = [], [], [], [], []
        for _ in range(16):
            policy = Categorical(logits=logits.detach()[world.places])
            action = policy.sample()
            seen.append(world.places)
            taken.append(action)
            logprobs.append(policy.log_prob(action))
            reward, is_end = world.step(action)
            rewards.append(reward)
            ends.append(is_end)
        places, actions = torch.stack(seen), torch.stack(taken)
        rollout = Rollout(
            torch.stack(logprobs),
            values.detach()[places],
            torch.stack(rewards),
            torch.stack(ends),
            values.detach()[world.places],
        )

        def judge(rows: Tensor, places: Tensor = places, actions: Tensor = actions) -> Policy:
            at = places.flatten()[rows]
            policy = Categorical(logits=logits[at])
            return Policy(policy.log_prob(actions.flatten()[rows]), policy.entropy(), values[at])

        learner.update(rollout, judge)
    assert (logits.argmax(1)[1:] == 1).all()  # to the right from the start on
    best = Corridor.best()
    assert values[1].item() == pytest.approx(best[1], abs=0.1)


CHOICES = Choices(layers=(2, 4), entries=(0, 3), num_experts=4)


def state(encoder: StateSummaryEncoder, kinds: Tensor) -> tuple[Tensor, Tensor]:
    facts = torch.zeros(len(kinds), len(FACTS))
    facts[:, 2] = kinds.float()
    hidden = torch.ones(len(kinds), 3, 16)
    return encoder(hidden, torch.ones(len(kinds), 3, dtype=torch.bool), facts)


def test_a_controller_learns_what_a_question_is_worth() -> None:
    torch.manual_seed(0)
    encoder, controller = StateSummaryEncoder(16), MetaController(CHOICES)
    parameters = [*encoder.parameters(), *controller.parameters()]
    learner = Learner(parameters, PPO(lr=1e-3, entropy=0.0, minibatch=32))
    for _ in range(25):
        kinds = torch.randint(2, (64,))
        with torch.no_grad():
            seen = state(encoder, kinds)
            action = controller.act(seen)
            judged = controller.judge(seen, action)
        wanted = (action[:, 1] == kinds).float() - 0.3 * action[:, 0]  # deep is dear
        rollout = Rollout(
            judged.logprob[None],
            judged.value[None],
            wanted[None],
            torch.ones(1, 64, dtype=torch.bool),
            torch.zeros(64),
        )

        def judge(rows: Tensor, kinds: Tensor = kinds, action: Tensor = action) -> Policy:
            found = controller.judge(state(encoder, kinds[rows]), action[rows])
            return Policy(found.logprob, found.entropy, found.value)

        learner.update(rollout, judge)
    both = state(encoder, torch.tensor([0, 1]))
    decided = controller.decisions(both, controller.act(both, is_greedy=True))
    assert [one.num_entries for one in decided] == [0, 3]
    assert {one.num_layers for one in decided} == {2}


def test_actions_say_decisions_and_decisions_actions() -> None:
    torch.manual_seed(0)
    encoder, controller = StateSummaryEncoder(16), MetaController(CHOICES)
    seen = state(encoder, torch.tensor([0, 1, 0, 1]))
    action = torch.tensor(
        [[0, 1, 1, 0, 1, 0, 1, 0], [1, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0], [1] * 8]
    )
    found = controller.decisions(seen, action)
    assert [one.num_layers for one in found] == [2, 4, 2, 4]
    assert [one.num_entries for one in found] == [3, 0, 0, 3]
    assert [one.episodic for one in found] == [True, False, False, True]
    assert [one.verify for one in found] == [False, True, False, True]
    assert [len(one.experts) for one in found] == [2, 2, 2, 4]
    assert found[0].experts == (0, 2)
    assert 3 in found[1].experts
    assert all(0 < p < 1 for one in found for p in one.chances.values())
    again = controller.action(found)
    assert torch.equal(again[:, :4], action[:, :4])
    assert torch.equal(again[0], action[0])


def test_what_is_padded_does_not_count() -> None:
    torch.manual_seed(0)
    encoder, controller = StateSummaryEncoder(16), MetaController(CHOICES)
    nn.init.normal_(controller.heads.weight)
    hidden, facts = torch.randn(1, 5, 16), torch.randn(1, len(FACTS))
    padded = torch.cat([torch.randn(1, 4, 16) * 9, hidden], 1)
    mask = torch.arange(9)[None] >= 4
    action = torch.zeros(1, 8, dtype=torch.long)
    one = controller.judge(encoder(hidden, torch.ones(1, 5, dtype=torch.bool), facts), action)
    other = controller.judge(encoder(padded, mask, facts), action)
    torch.testing.assert_close(one.logprob, other.logprob)
    torch.testing.assert_close(one.value, other.value)


def test_chances_are_those_of_what_is_drawn() -> None:
    torch.manual_seed(0)
    encoder, controller = StateSummaryEncoder(16), MetaController(CHOICES)
    nn.init.normal_(controller.heads.weight, std=0.2)
    seen = tuple(
        one.expand(4_000, -1, -1) if one.dim() == 3 else one.expand(4_000, -1)
        for one in state(encoder, torch.tensor([1]))
    )
    action = controller.act(seen)  # type: ignore[arg-type]
    judged = controller.judge(seen, action)  # type: ignore[arg-type]
    assert judged.entropy[0].item() == pytest.approx(-judged.logprob.mean().item(), rel=0.03)
