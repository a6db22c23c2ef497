"""Recorded episodes: any line of a run's traces, opened without a model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pmi_kernel.errors import DataError
from pmi_kernel.records import read_records
from pmi_kernel.traces import TraceFile
from pmi_kernel.types import EvalResult, Trace
from widgets.render import Node
from widgets.trace_nodes import replay_nodes
from widgets.view import View

_MOST_SHOWN = 60


class Recording:
    """A run directory, or a file of traces alone, read as it stands.

    Args:
        path: A run directory or an `episode_trace*.jsonl`.

    Raises:
        DataError: There are no traces, or a record cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.traces = TraceFile(path)
        folder = self.traces.path.parent
        results = folder / "eval_results.jsonl"
        self.results = (
            {result.episode_id: result for result in read_records(EvalResult, results)}
            if results.is_file()
            else {}
        )
        self._notes = _notes(folder / "config.json")

    def nodes(self, episode_id: str) -> list[Node]:
        """Return one episode as nodes.

        Raises:
            DataError: There is no such episode, or its line cannot be read.
        """
        trace = self.traces[episode_id]
        return replay_nodes(trace, self.results.get(episode_id), self._notes)


def _notes(config: Path) -> Sequence[str]:
    """The model, where the run's record says it."""
    try:
        return (json.loads(config.read_text())["config"]["model"],)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


class Replay(View):
    """Opens the episodes of a run, one at a time.

    Args:
        path: A run directory or an `episode_trace*.jsonl`.
        episode_id: The episode to open first; by default the first.

    Raises:
        DataError: As `Recording`; also where there is no such episode.
    """

    def __init__(self, path: str | Path, episode_id: str | None = None) -> None:
        super().__init__()
        self._recording = Recording(path)
        self._path = Path(path)
        self._find = ""
        self._chosen = episode_id or next(iter(self._recording.traces), "")
        if not self._chosen:
            raise DataError(f"{path}: there are no episodes in it yet")
        self._show()
        self.say("A recording: no model is needed.")

    @property
    def trace(self) -> Trace:
        """The open episode."""
        return self._recording.traces[self._chosen]

    def open_episode(self, episode_id: str) -> None:
        """Open another episode.

        Raises:
            DataError: There is no such episode.
        """
        before, self._chosen = self._chosen, episode_id
        try:
            self._show()
        except DataError:
            self._chosen = before
            raise

    def on_choose(self, args: Mapping[str, Any], _: object) -> None:
        """Open the episode that was clicked."""
        self.open_episode(args["id"])
        self._refresh_saved()

    def on_find(self, _: object, values: Mapping[str, Any]) -> None:
        """Show the episodes whose id, question type, level, prediction or end holds every word."""
        self._find = values["find"]
        self._show()

    def _show(self) -> None:
        episode = self._recording.nodes(self._chosen)
        wanted = self._find.lower().split()
        found = [
            (episode_id, cells)
            for episode_id in self._recording.traces
            for cells in [self._cells(episode_id)]
            if all(word in " ".join((episode_id, *cells)).lower() for word in wanted)
        ]
        choices = [
            {"id": episode_id, "text": episode_id, "cells": cells}
            for episode_id, cells in found[:_MOST_SHOWN]
        ]
        about = f"{len(found)} of {len(self._recording.traces)} episodes in {self._path}"
        if len(choices) < len(found):
            about += f", the first {len(choices)} shown"
        self.show(
            [
                Node("search", "search_box.html", {"find": "", "what": "an episode"}),
                Node(
                    "choices",
                    "choices.html",
                    {
                        "about": about,
                        "columns": ("episode", "answer", "EM", "F1", "type", "end"),
                        "choices": choices,
                        "selected": self._chosen,
                    },
                ),
                *episode,
            ]
        )

    def _cells(self, episode_id: str) -> tuple[str, ...]:
        result = self._recording.results.get(episode_id)
        if result is None:
            return ("", "", "", "", "")
        return (
            result.prediction,
            f"{result.em:.0f}",
            f"{result.f1:.2f}",
            result.type,
            result.end_reason.replace("_", " "),
        )
