"""Runs side by side, with wins and losses that open one by one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pmi_kernel.core.figures import FIGURES
from pmi_kernel.reports.compare import Difference, compare
from pmi_kernel.reports.pages.compared import compared_nodes
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.reports.pages.trace_nodes import branch_node, head_node, reading_nodes
from pmi_kernel.reports.recording import Recording
from widgets.view import View

_MOST_SHOWN = 60


class CompareView(View):
    """Runs side by side; an episode that one run wins or loses opens in both.

    Args:
        runs: Run directories; each is held against the first.
        is_forced: Compare runs over different data or with different ending rules too.

    Raises:
        DataError: A run has no results, or they share no episode.
        ConfigError: They ran over different data, or end by different rules.
    """

    def __init__(self, runs: Sequence[str | Path], *, is_forced: bool = False) -> None:
        super().__init__()
        paths = [Path(run) for run in runs]
        self.comparison = compare(paths, is_forced=is_forced)
        self._recordings = dict(
            zip((run.name for run in self.comparison.runs), map(Recording, paths), strict=True)
        )
        self._chosen: tuple[str, str] | None = None
        self._show()
        self.say("")

    def on_choose(self, args: Mapping[str, Any], _: object) -> None:
        """Open the episode that was clicked, in the run and in the first one."""
        name, _, episode_id = args["id"].partition("\x1f")
        self._chosen = (name, episode_id)
        self._show()
        self._refresh_saved()

    def _show(self) -> None:
        nodes = compared_nodes(self.comparison)
        nodes += [self._choices(difference) for difference in self.comparison.differences]
        if self._chosen:
            nodes += self._pair(*self._chosen)
        self.show(nodes)

    def _choices(self, difference: Difference) -> Node:
        f1, names = FIGURES["f1"], (difference.against, difference.name)
        both = [self._recordings[name].results for name in names]
        choices = [
            {
                "id": f"{difference.name}\x1f{episode_id}",
                "text": episode_id,
                "cells": (
                    word,
                    *(run[episode_id].prediction for run in both),
                    " → ".join(f1.show_score(run[episode_id].scores["f1"]) for run in both),
                ),
            }
            for word, ids in (("win", difference.wins), ("loss", difference.losses))
            for episode_id in ids[:_MOST_SHOWN]
        ]
        about = f"{difference.name} against {difference.against}: what it wins and loses in F1"
        data = {
            "about": about,
            "columns": ("episode", "", *names, f1.label),
            "choices": choices,
            "selected": "\x1f".join(self._chosen) if self._chosen else "",
        }
        return Node(f"choices-{difference.name}", "choices.html", data)

    def _pair(self, name: str, episode_id: str) -> list[Node]:
        against = self.comparison.runs[0].name
        trace = self._recordings[name].trace(episode_id)
        result = self._recordings[name].results[episode_id]
        branches = [
            branch_node(
                self._recordings[run].trace(episode_id),
                key=f"run-{place}",
                gold=result.gold,
                title=run,
            )
            for place, run in enumerate((against, name))
        ]
        return [
            head_node(trace.task, result.answers, scores=result.scores),
            *reading_nodes(trace, result.gold, None),
            Node("branches", "branches.html", {"tabs": [against, name]}, branches),
        ]
