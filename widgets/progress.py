"""How far what runs is, as the line that a view shows meanwhile."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from pmi_kernel.core.progress import Phase, Report
from pmi_kernel.core.visible import visible

_EVERY_S = 0.25
_MOST_BARS = 32
_SAID_CHARS = 400
"""Most characters, the last ones, that are shown of a text while it is generated."""
_BARS = "▁▂▃▄▅▆▇█"


class Progress:
    """Turns reports into a line that is shown while they come, and grows older between them.

    Args:
        show: Shows a line.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self._losses: list[float] = []
        self._report: Report | None = None
        self._heard_s = 0.0
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def hear(self, report: Report) -> None:
        """Take a report; the first of a phase is shown at once."""
        with self._lock:
            is_new = self._report is None or self._report.phase != report.phase
            self._report, self._heard_s = report, time.monotonic()
            if report.loss_nats is not None:
                self._losses.append(report.loss_nats)
            elif not report.done:
                self._losses = []
        if is_new:
            self._draw()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._show("")

    def _tick(self) -> None:
        while not self._is_over.wait(_EVERY_S):
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            if self._report is None:
                return
            spent_s = self._report.spent_s + time.monotonic() - self._heard_s
            text = line(replace(self._report, spent_s=spent_s), self._losses)
        self._show(text)


def line(report: Report, losses: Sequence[float] = ()) -> str:
    """Return a report with the seconds spent, those that are left, and the loss with its curve.

    Args:
        report: How far it is.
        losses: Of the training so far, nats per token.
    """
    parts = [str(report), f"{report.spent_s:.0f} s"]
    if report.left_s is not None:
        about = "at most" if report.phase == Phase.GENERATING else "about"
        parts.append(f"{about} {report.left_s:.0f} s left")
    if losses:
        parts.append(f"loss {losses[-1]:.2f} {sparkline(losses)}")
    text = ", ".join(parts)
    if said := report.said.strip():
        text += f"\n{'…' if len(said) > _SAID_CHARS else ''}{visible(said[-_SAID_CHARS:])}"
    return text


def sparkline(values: Sequence[float]) -> str:
    """Return finite values from 0 up as a curve of bars in one line, the last ones of many."""
    shown = [value for value in values[-_MOST_BARS:] if 0 <= value < float("inf")]
    top = max(shown, default=0) or 1
    return "".join(_BARS[min(int(value / top * len(_BARS)), len(_BARS) - 1)] for value in shown)
