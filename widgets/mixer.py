"""Passages' gradients, mixed live: how much of the step, which passages, and the answer."""

import time
from collections.abc import Mapping
from typing import Any

from pmi_kernel.core.system import Question
from pmi_kernel.core.task import Example
from pmi_kernel.engines.injected import injected
from pmi_kernel.reports.pages.render import Node, seconds, table_node
from pmi_kernel.systems.regrad.system import Learned, RegradSystem
from widgets.view import View

_GAMMA = 2.0
"""The slider's right end."""
_KEPT = 12
"""Answers that are listed, the newest first."""


class MemoryMixer(View):
    """Recombines an episode's gradients without taking them again.

    They are taken once, when it opens; every move of the slider and every tick only adds them up
    otherwise, injects the sum and asks the question again.

    Args:
        system: A system of retrievable gradients.
        example: The question; its answer is scored, and never seen by the system.
    """

    def __init__(self, system: RegradSystem, example: Example) -> None:
        super().__init__()
        self.system, self.example = system, example
        self.learned: Learned | None = None
        self.gamma = system.config.gamma
        self.kept: tuple[bool, ...] = ()
        self.answers: list[tuple[str, str, str, str, str]] = []
        """What was mixed and what came of it: gamma, passages, answer, gold nats, seconds."""
        self._answered: tuple[float, tuple[bool, ...]] | None = None
        self._show()
        self.submit("Taking the passages' gradients…", self._take)

    def mix(self, gamma: float, kept: tuple[bool, ...]) -> None:
        """Ask under so much of the step on these passages.

        Raises:
            ValueError: There is not one choice for each passage.
        """
        if self.learned is not None and len(kept) != len(self.learned.titles):
            raise ValueError(f"{len(self.learned.titles)} passages, and {len(kept)} choices")
        self.gamma, self.kept = gamma, kept
        self.submit("Answering…", self._answer)

    def on_mix(self, _: object, values: Mapping[str, Any]) -> None:
        """The slider, a tick, or the Answer button."""
        if self.learned is None:
            raise ValueError("the gradients are not there yet")
        places = range(len(self.learned.titles))
        self.mix(float(values["gamma"]), tuple(bool(values[f"kept_{place}"]) for place in places))

    def _take(self) -> None:
        self.learned = self.system.learn(self.example.task)
        self.kept = tuple(weight > 0 for weight in self.learned.weights)
        self._answer()

    def _answer(self) -> None:
        assert self.learned is not None
        if self._answered == (self.gamma, self.kept):  # of quick moves the last one counts
            return
        self._answered = self.gamma, self.kept
        began = time.perf_counter()
        weights = self.system.memory(self.learned.only(self.kept), gamma=self.gamma)
        with injected(self.system.engine, weights) as memory:
            (reply,) = self.system.ask([Question.of(self.example)], memory.adapter)
        assert reply.gold is not None
        chosen = [str(rank) for rank, is_kept in enumerate(self.kept, start=1) if is_kept]
        row = (
            f"{self.gamma:g}",
            " ".join(chosen) or "none",
            reply.answer,
            f"{reply.gold.total_nats:.2f}",
            seconds(time.perf_counter() - began),
        )
        self.answers = [row, *self.answers][:_KEPT]
        self._show()

    def idle_status(self) -> str:
        """See `View.idle_status`."""
        return f"Answered: {self.answers[0][2]}" if self.answers else "Ready."

    def _show(self) -> None:
        passages = [
            {"name": f"kept_{place}", "title": title, "is_kept": is_kept}
            for place, (title, is_kept) in enumerate(
                zip(self.learned.titles if self.learned else (), self.kept, strict=False)
            )
        ]
        gold = self.example.gold.answers[0]
        columns = ("gamma", "passages", "answer", "gold log-probability, nats", "seconds")
        nodes = [
            Node(
                "form",
                "mixer.html",
                {
                    "question": self.example.task.question,
                    "gold": gold,
                    "gamma": self.gamma,
                    "most": _GAMMA,
                    "passages": passages,
                },
            )
        ]
        if self.answers:
            caption = "What was answered, the newest first; nothing is in the prompt."
            nodes.append(table_node("answers", caption, columns, self.answers))
        self.show(nodes)
