"""What was told lately: a bounded buffer, each interaction compressed to one vector."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import RLock

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pmi_kernel.systems.hmst.model.ssm import EpisodicMemorySSM


@dataclass(frozen=True, slots=True, eq=False)
class Interaction:
    """One thing that was told.

    Attributes:
        id: Its number, from 1; never given twice.
        text: What was told.
        summary: What the state-space memory made of it.
        importance: At least 0; of two as old, the less important one is forgotten.
    """

    id: int
    text: str
    summary: Float[Tensor, " state"]
    importance: float


@dataclass(frozen=True, slots=True)
class Recalled:
    """An interaction that fits a question.

    Attributes:
        id: Its number.
        text: What was told.
        score: Cosine of its summary and the question's projection, in [-1, 1].
    """

    id: int
    text: str
    score: float


class EpisodicMemory:
    """The last interactions; threads may share it. The networks are shared by all such memories.

    What is full forgets the interaction of the least weight: importance, halved as often as
    `half_life` others were told since.

    Args:
        ssm: Compresses what is told.
        project: From a question's state to a summary's width.
        capacity: Interactions at most.
        half_life: Interactions after which one counts half.
    """

    def __init__(
        self,
        ssm: EpisodicMemorySSM,
        project: nn.Linear,
        *,
        capacity: int = 256,
        half_life: float = 128.0,
    ) -> None:
        if capacity < 1 or half_life <= 0:
            raise ValueError(f"capacity {capacity} and half_life {half_life} must be positive")
        self._ssm, self._project = ssm, project
        self.capacity, self.half_life = capacity, half_life
        self._turn = RLock()
        self._kept: dict[int, Interaction] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._kept)

    def tell(
        self, text: str, hidden: Float[Tensor, "tokens width"], importance: float = 1.0
    ) -> int:
        """Keep an interaction, and return its number.

        Args:
            text: What is told.
            hidden: Its states in the base model.
            importance: At least 0.

        Raises:
            ValueError: There is no token, a state is not finite, or the importance is below 0.
        """
        if not len(hidden) or not torch.isfinite(hidden).all():
            raise ValueError("an interaction needs one finite state or more")
        if not importance >= 0:
            raise ValueError(f"importance {importance} is below 0")
        with torch.no_grad():
            [summary] = self._ssm(hidden[None]).summary
        with self._turn:
            self._last += 1
            self._kept[self._last] = Interaction(self._last, text, summary.cpu(), importance)
            if len(self._kept) > self.capacity:
                del self._kept[min(self._kept, key=self._weight)]
            return self._last

    def retrieve(self, hidden: Float[Tensor, " width"], k: int) -> list[Recalled]:
        """Return the interactions that fit a question's state best, the best first.

        Raises:
            ValueError: The state is not finite, or k is not positive.
        """
        if k < 1 or not torch.isfinite(hidden).all():
            raise ValueError("k must be positive, and the question's state finite")
        with self._turn:
            there = list(self._kept.values())
        if not there:
            return []
        with torch.no_grad():
            query = self._project(hidden).cpu()
            summaries = torch.stack([one.summary for one in there])
            scores = torch.cosine_similarity(summaries, query[None]).tolist()
        best = sorted(range(len(there)), key=lambda at: (-scores[at], -there[at].id))[:k]
        return [Recalled(there[at].id, there[at].text, scores[at]) for at in best]

    def weighed(self) -> list[tuple[Interaction, float]]:
        """Return what is kept, each with its weight, the heaviest first."""
        with self._turn:
            return [
                (self._kept[one], self._weight(one))
                for one in sorted(self._kept, key=self._weight, reverse=True)
            ]

    def mark(self, ids: Sequence[int], importance: float) -> None:
        """Set the importance of some interactions; those that are gone do not matter."""
        with self._turn:
            for one in ids:
                if one in self._kept:
                    self._kept[one] = replace(self._kept[one], importance=importance)

    def forget(self, ids: Sequence[int]) -> None:
        """Keep some interactions no more; those that are gone do not matter."""
        with self._turn:
            for one in ids:
                self._kept.pop(one, None)

    def clear(self) -> None:
        """Keep nothing."""
        with self._turn:
            self._kept.clear()

    def _weight(self, number: int) -> float:
        return float(
            self._kept[number].importance * 0.5 ** ((self._last - number) / self.half_life)
        )
