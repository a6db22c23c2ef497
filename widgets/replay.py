"""Recorded episodes: any line of a run's traces, opened without a model."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.trace import Trace
from pmi_kernel.core.visible import visible
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.reports.recording import Recording
from widgets.view import View

_MOST_SHOWN = 60
_SCORES = ("em", "f1")


class Replay(View):
    """Opens the episodes of a run, one at a time, also while the run goes on.

    Args:
        path: A run directory or an `episode_trace*.jsonl`.
        episode_id: The episode to open first; by default the first.

    Raises:
        DataError: As `Recording`; also where there is no such episode.
    """

    def __init__(self, path: str | Path, episode_id: str | None = None) -> None:
        super().__init__()
        self.view_id = uuid.uuid4().hex  # charts name it, so that their points open here
        self._recording = Recording(path)
        self._path = Path(path)
        self._find = ""
        self._filters = dict.fromkeys(_FILTERS, "all")
        self._chosen = episode_id
        self._show()
        self.say("A recording: no model is needed.")

    @property
    def trace(self) -> Trace:
        """The open episode.

        Raises:
            DataError: There is none yet.
        """
        return self._recording.trace(self._chosen or "")

    def open_episode(self, episode_id: str) -> None:
        """Open another episode.

        Raises:
            DataError: There is no such episode.
        """
        self._recording.refresh()
        self._recording.trace(episode_id)
        self._chosen = episode_id
        self._show()
        self._refresh_saved()

    def on_choose(self, args: Mapping[str, Any], _: object) -> None:
        """Open the episode that was clicked."""
        self.open_episode(args["id"])

    def on_find(self, _: object, values: Mapping[str, Any]) -> None:
        """Show the episodes that fit the words and the choices."""
        self._find = values["find"]
        self._filters = {name: values.get(name, "all") for name in _FILTERS}
        self._show()

    def on_refresh(self, *_: object) -> None:
        """Look for episodes that were finished since."""
        self._recording.refresh()
        self._show()
        self.say(f"{len(self._recording.ids)} episodes.")

    def _show(self) -> None:
        ids = self._recording.ids
        if self._chosen is None and ids:
            self._chosen = ids[0]
        wanted = self._find.lower().split()
        found = [
            (episode_id, cells)
            for episode_id in ids
            if self._fits(episode_id)
            for cells in [self._cells(episode_id)]
            if all(word in " ".join((episode_id, *cells)).lower() for word in wanted)
        ]
        choices = [
            {"id": episode_id, "text": episode_id, "cells": cells}
            for episode_id, cells in found[:_MOST_SHOWN]
        ]
        about = f"{len(found)} of {len(ids)} episodes in {self._path}"
        if len(choices) < len(found):
            about += f", the first {len(choices)} shown"
        if unreadable := self._recording.unreadable:
            about += f"; lines that cannot be read: {len(unreadable)}, the first {unreadable[0]}"
        scores = (FIGURES[name].label for name in _SCORES)
        columns = ("episode", "answer", *scores, "type", "level", "end")
        table = {"about": about, "columns": columns, "choices": choices, "selected": self._chosen}
        self.show(
            [
                Node("search", "filters.html", {"filters": self._options()}),
                Node("choices", "choices.html", table),
                *(self._recording.nodes(self._chosen) if self._chosen else ()),
            ]
        )

    def _fits(self, episode_id: str) -> bool:
        result = self._recording.results.get(episode_id)
        return all(
            wanted == "all" or (result is not None and visible(_FILTERS[name](result)) == wanted)
            for name, wanted in self._filters.items()
        )

    def _options(self) -> dict[str, list[str]]:
        results = list(self._recording.results.values())
        return {
            name: ["all", *sorted({visible(value(result)) for result in results})]
            for name, value in _FILTERS.items()
        }

    def _cells(self, episode_id: str) -> tuple[str, ...]:
        result = self._recording.results.get(episode_id)
        if result is None:
            return ("", "", "", "", "", "")
        return (
            result.prediction,
            *(FIGURES[name].show_score(result.scores[name]) for name in _SCORES),
            result.type,
            result.level,
            result.end_reason.replace("_", " "),
        )


_FILTERS: dict[str, Callable[[EvalResult], str]] = {
    "answer": lambda result: "right" if result.scores["em"] else "wrong",
    "type": lambda result: result.type,
    "level": lambda result: result.level,
    "end": lambda result: result.end_reason.replace("_", " "),
}
"""What the episodes can be chosen by."""
