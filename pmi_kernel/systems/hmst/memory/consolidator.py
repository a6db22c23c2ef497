"""Moves what matters from the last interactions to where everything is kept."""

import logging
import threading
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32

from pmi_kernel.systems.hmst.memory.episodic import EpisodicMemory
from pmi_kernel.systems.hmst.memory.semantic import SemanticMemory

log = logging.getLogger(__name__)

Summarise = Callable[[Sequence[str]], tuple[Sequence[str], Float32[np.ndarray, "texts dimension"]]]
"""What makes entries of texts: what is kept of each, and its vector; the base model, say."""


class MemoryConsolidator:
    """Moves interactions by call, or on a thread of its own; questions never wait for it.

    An interaction is forgotten when its entry is written, so nothing is lost whenever it stops.

    Args:
        episodic: Where they come from.
        semantic: Where they go.
        summarise: Makes entries of them, without a lock held.
        least_weight: Lighter ones stay (see `EpisodicMemory.weighed`).
        most: Moved at once.
    """

    def __init__(
        self,
        episodic: EpisodicMemory,
        semantic: SemanticMemory,
        summarise: Summarise,
        *,
        least_weight: float = 0.0,
        most: int = 32,
    ) -> None:
        self._episodic, self._semantic, self._summarise = episodic, semantic, summarise
        self.least_weight, self.most = least_weight, most
        self._turn = threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def consolidate(self) -> list[int]:
        """Move what is heavy enough, and return the numbers of its entries."""
        with self._turn:
            weighed = self._episodic.weighed()[: self.most]
            due = [one for one, weight in weighed if weight >= self.least_weight]
            if not due:
                return []
            texts, vectors = self._summarise([one.text for one in due])
            ids = self._semantic.add(list(texts), vectors)
            self._episodic.forget([one.id for one in due])
            return ids

    def start(self, every_s: float) -> None:
        """Move on a thread, again and again, until `stop`; what fails is logged and tried again."""
        if self._thread is not None:
            raise RuntimeError("it is at work already")
        self._is_over.clear()
        self._thread = threading.Thread(target=self._work, args=(every_s,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it is at is finished first."""
        if self._thread is not None:
            self._is_over.set()
            self._thread.join()
            self._thread = None

    def _work(self, every_s: float) -> None:
        while not self._is_over.wait(every_s):
            try:
                self.consolidate()
            except Exception:
                log.exception("interactions could not be moved; they stay where they are")
