"""The third stage: what decides learns by PPO what a question is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Literal

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.scoring import score
from pmi_kernel.core.task import Example, titled
from pmi_kernel.core.trace import UNKNOWN
from pmi_kernel.data import load_examples, load_stream
from pmi_kernel.systems.hmst.config import Asking
from pmi_kernel.systems.hmst.engine import HMSTInferenceEngine, asked_text
from pmi_kernel.systems.hmst.model.controller import Decisions
from pmi_kernel.systems.hmst.model.hierarchy import Encoded
from pmi_kernel.systems.hmst.train.common import HierarchyLearner
from pmi_kernel.systems.hmst.train.ppo import PPO, Policy, losses
from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.training.learner import Evaluated, Group, Sample

Told = Literal["recent", "long_ago", "never"]
"""When what supports the answer was told: it is among the last interactions, consolidated, or what
was told is another question's."""
_TOLD: tuple[Told, ...] = ("recent", "long_ago", "never")
_ROLLOUT = "rollout.safetensors"
_KEPT, _TUNED_ON, _THRESHOLDS = 1024, 24, (0.1, 0.3, 0.5, 0.7, 0.9)
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision on a question came to.

    Attributes:
        answer: What was said.
        is_right: Whether that is right; of what was never told, whether it is `UNKNOWN`.
        confidence: In what was said: the critic's, or one half where it was not asked.
        searches: In the memories.
        flops: Operations of the base model, counted.
    """

    answer: str
    is_right: bool
    confidence: float
    searches: int
    flops: float


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """A question, and memories that were told something before.

    Attributes:
        example: The question with its gold.
        told: When what supports the answer was told.
        engine: The memories.
        encoded: What is seen of the question.
        facts: What is known beside it.
        outcomes: Of decisions that were tried.
    """

    example: Example
    told: Told
    engine: HMSTInferenceEngine
    encoded: Encoded
    facts: Float[Tensor, "1 facts"]
    outcomes: dict[tuple[object, ...], Outcome] = field(default_factory=dict)

    def outcome(self, decisions: Decisions) -> Outcome:
        """Return what a decision comes to, which is always the same."""
        key = tuple(decisions.forced.values())
        if key not in self.outcomes:
            self.outcomes[key] = self._tried(decisions)
        return self.outcomes[key]

    def _tried(self, decisions: Decisions) -> Outcome:
        answered = self.engine.ask(asked_text(self.example.task), decisions.forced)
        if self.told == "never":
            is_right = answered.text.strip().lower() == UNKNOWN
        else:
            is_right = score(answered.text, self.example)["em"] == 1
        last = answered.attempts[-1]
        confidence = 0.5
        if last.probability is not None:
            is_kept = last.text == answered.text
            confidence = last.probability if is_kept else 1 - last.probability
        searches = sum(one.memory_calls for one in answered.attempts)
        return Outcome(answered.text, is_right, confidence, searches, answered.flops)


@dataclass(frozen=True, slots=True, eq=False)
class _Rollout:
    """What was done in some situations, and what came of it; each a row."""

    first_step: int
    numbers: Int[Tensor, " rows"]
    action: Int[Tensor, "rows decisions"]
    logprob: Float[Tensor, " rows"]
    value: Float[Tensor, " rows"]
    reward: Float[Tensor, " rows"]

    def tensors(self) -> dict[str, Tensor]:
        return {
            "first_step": torch.tensor(self.first_step),
            "numbers": self.numbers,
            "action": self.action.cpu(),
            "logprob": self.logprob.cpu(),
            "value": self.value.cpu(),
            "reward": self.reward.cpu(),
        }


Decide = Callable[[Situation, int], Decisions]
"""A policy: what it decides in a situation, which has a number."""


class ControllerLearner(HierarchyLearner):
    """Trains the controller, and what sums up its state, by PPO on one decision a question.

    What a decision comes to is found by answering with it, once: latency and compute are searches
    and counted operations, so the same decision has the same reward everywhere.

    Args:
        config: The settings.

    Raises:
        ConfigError: The checkpoint cannot be loaded.
        DataError: The data cannot be read.
    """

    def __init__(self, config: HMSTTraining) -> None:
        super().__init__(config)
        self.hierarchy.eval()
        self._data = load_stream(config.data)
        self.num_samples = len(self._data)
        self._dev = load_examples(config.eval_data)[: config.eval_questions]
        self._ppo = PPO(entropy=config.entropy)
        self._rollout: _Rollout | None = None
        self._threshold: float | None = None
        self._train = lru_cache(maxsize=_KEPT)(partial(self._situation, self._data))
        self._held_out = lru_cache(maxsize=_KEPT)(partial(self._situation, self._dev))

    def groups(self) -> Sequence[Group]:
        """See `Learner.groups`: controller and summary of the state."""
        deciding = ("controller.", "summary.")
        named = self.hierarchy.learned().items()
        return self._groups({name: one for name, one in named if name.startswith(deciding)})

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        """See `Learner.update`: a step on the last decisions, after `rounds` of them on new ones.

        Which questions these are is drawn; the samples say how many.
        """
        step = samples[0].step
        first = step - step % self.config.rounds
        if self._rollout is None or self._rollout.first_step != first:
            self._rollout = self._rolled_out(first, len(samples))
        rollout = self._rollout
        state = self._state([self._train(number) for number in rollout.numbers.tolist()])
        judged = self.hierarchy.controller.judge(state, rollout.action)
        now = Policy(judged.logprob, judged.entropy, judged.value)
        advantage = rollout.reward - rollout.value
        found = losses(now, rollout.logprob, advantage, rollout.reward, self._ppo)
        backward(found["loss"])
        told = {name: one.item() for name, one in found.items()}
        return {**told, "reward": rollout.reward.mean().item(), "num_tokens": len(rollout.numbers)}

    def evaluate(self) -> Evaluated:
        """See `Learner.evaluate`.

        `reward`, `accuracy` and `compute` (operations as a share of those of always) of the
        controller's likeliest decisions, and the same of always (all memories, all blocks,
        verified), never (no memory), random, and threshold (the last interactions alone where
        their best score reaches a bound that was tuned on the training's questions, else the
        semantic memory); `loss` is minus the reward.
        """
        rows = range(len(self._dev))
        policies: dict[str, Decide] = {
            "": self._greedy,
            "always": lambda one, _: one.engine.all_of_it(verify=True),
            "never": lambda one, _: _bare(one),
            "random": self._drawn,
            "threshold": partial(_by_score, self._tuned()),
        }
        measures: dict[str, float] = {}
        for name, decide in policies.items():
            ends = f"_{name}" if name else ""
            chosen = [(one, decide(one, at)) for at in rows for one in [self._held_out(at)]]
            tried = [(one, one.outcome(decisions)) for one, decisions in chosen]
            found = {
                "reward": [self._reward(one, outcome) for one, outcome in tried],
                "accuracy": [float(outcome.is_right) for _, outcome in tried],
                "compute": [outcome.flops / _always(one).flops for one, outcome in tried],
            }
            measures |= {f"{key}{ends}": sum(all_) / len(all_) for key, all_ in found.items()}
        measures["loss"] = -measures["reward"]
        return Evaluated(measures, tuple(self._shown(at) for at in rows[:_SHOWN]))

    def save(self, folder: Path) -> None:
        """See `Learner.save`; what was done last goes with it, to go on from."""
        super().save(folder)
        if self._rollout is not None:
            save_file(self._rollout.tensors(), folder / _ROLLOUT)

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        super().load(folder)
        path = folder / _ROLLOUT
        if not path.exists():
            return
        try:
            found = {name: one.to(self.device) for name, one in load_file(path).items()}
            first = int(found.pop("first_step"))
            self._rollout = _Rollout(first, **found)
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} cannot be read ({error})") from None

    # -- situations and what comes of decisions -------------------------------------------------

    def _situation(self, source: Sequence[Example], number: int) -> Situation:
        """A question's memories: told what supports the answer lately, long ago, or never."""
        example, told = source[number], _TOLD[number % len(_TOLD)]
        engine = HMSTInferenceEngine(
            self.hierarchy, config=Asking(decide="always", after_no="unknown")
        )
        other = source[(number + 1) % len(source)]
        for one in (other if told == "never" else example).task.context:
            engine.tell(titled(one.title, one.text))
        while told == "long_ago" and engine.consolidator.consolidate():
            pass
        return Situation(example, told, engine, *engine.seen(asked_text(example.task)))

    def _reward(self, situation: Situation, outcome: Outcome) -> float:
        config, always = self.config, _always(situation)
        return (
            config.accuracy * outcome.is_right
            - config.latency * outcome.searches / always.searches
            - config.compute * outcome.flops / always.flops
            + config.calibration * (1 - abs(outcome.confidence - outcome.is_right))
        )

    def _rolled_out(self, first_step: int, size: int) -> _Rollout:
        draw = Random(f"{self.config.seed}/rollout/{first_step}")
        numbers = [draw.randrange(self.num_samples) for _ in range(size)]
        controller = self.hierarchy.controller
        situations = [self._train(number) for number in numbers]
        with torch.no_grad():
            state = self._state(situations)
            action = controller.act(state)
            judged = controller.judge(state, action)
        decided = controller.decisions(state, action)
        rewards = [
            self._reward(one, one.outcome(decisions))
            for one, decisions in zip(situations, decided, strict=True)
        ]
        reward = torch.tensor(rewards, device=self.device)
        rows = torch.tensor(numbers)
        return _Rollout(first_step, rows, action, judged.logprob, judged.value, reward)

    def _state(self, situations: Sequence[Situation]) -> tuple[Tensor, Tensor]:
        """What the controller sees of situations, padded on the left."""
        width = max(one.encoded.mask.shape[1] for one in situations)
        hidden, mask = zip(*(_wide(one.encoded, width) for one in situations), strict=True)
        facts = torch.cat([one.facts.clone() for one in situations])
        return self.hierarchy.summary(torch.cat(hidden), torch.cat(mask), facts)

    # -- policies -------------------------------------------------------------------------------

    def _greedy(self, situation: Situation, _: int = 0) -> Decisions:
        controller = self.hierarchy.controller
        with torch.no_grad():
            state = self._state([situation])
        [decisions] = controller.decisions(state, controller.act(state, is_greedy=True))
        return decisions

    def _drawn(self, situation: Situation, number: int) -> Decisions:
        draw, choices = Random(f"{number}/random"), self.hierarchy.controller.choices
        experts = draw.sample(
            range(choices.num_experts), draw.randint(choices.least_experts, choices.num_experts)
        )
        return Decisions(
            draw.choice(choices.layers),
            draw.random() < 0.5,
            draw.choice(choices.entries),
            tuple(sorted(experts)),
            draw.random() < 0.5,
            {},
        )

    def _tuned(self) -> float:
        """The bound of the best episodic score that gives the most reward in training."""
        if self._threshold is None:
            situations = [self._train(one) for one in range(min(_TUNED_ON, self.num_samples))]

            def reward(bound: float) -> float:
                return sum(self._reward(o, o.outcome(_by_score(bound, o))) for o in situations)

            self._threshold = max(_THRESHOLDS, key=reward)
        return self._threshold

    def _shown(self, number: int) -> dict[str, str]:
        one = self._held_out(number)
        decisions = self._greedy(one)
        return {
            "question": one.example.task.question,
            "told": one.told,
            "decisions": f"{decisions.num_layers} blocks, "
            f"{'the last interactions, ' if decisions.episodic else ''}"
            f"{decisions.num_entries} entries, {len(decisions.experts)} experts"
            f"{', verified' if decisions.verify else ''}",
            "answer": one.outcome(decisions).answer,
            "gold": UNKNOWN if one.told == "never" else one.example.gold.answers[0],
        }


def _always(situation: Situation) -> Outcome:
    return situation.outcome(situation.engine.all_of_it(verify=True))


def _bare(situation: Situation) -> Decisions:
    """All blocks and no memory."""
    return replace(situation.engine.all_of_it(verify=False), episodic=False, num_entries=0)


def _by_score(bound: float, situation: Situation, _: int = 0) -> Decisions:
    """The last interactions where one of them fits, else the semantic memory."""
    is_recent = situation.facts[0, 2].item() >= bound
    whole = situation.engine.all_of_it(verify=False)
    return replace(whole, num_entries=0) if is_recent else replace(whole, episodic=False)


def _wide(encoded: Encoded, width: int) -> tuple[Tensor, Tensor]:
    """States and mask of one text, padded on the left; clones, as they are to be learned from."""
    hidden, mask = encoded.hidden.clone(), encoded.mask.clone()
    left = width - mask.shape[1]
    return (
        torch.nn.functional.pad(hidden, (0, 0, left, 0)),
        torch.nn.functional.pad(mask, (left, 0)),
    )
