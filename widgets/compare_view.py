"""Runs side by side, with wins and losses that open one by one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pmi_kernel.reports.compare import Comparison, Difference, compare
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.reports.pages.trace_nodes import branch_node, gold_of, head_node, prediction_of
from widgets.replay import Recording
from widgets.view import View

_MOST_SHOWN = 60


def comparison_nodes(comparison: Comparison) -> list[Node]:
    """Return the comparison's tables."""
    tables = [("scores", comparison.caption, *comparison.score_table())]
    if comparison.differences:
        tables.append(
            ("differences", "Each run against the first.", *comparison.difference_table())
        )
    return [
        Node(key, "table.html", {"caption": caption, "columns": columns, "rows": rows})
        for key, caption, columns, rows in tables
    ]


class CompareView(View):
    """Runs side by side; an episode that one run wins or loses opens in both.

    Args:
        runs: Run directories; each is held against the first.
        is_forced: Compare runs over different data files too, by episode id.

    Raises:
        DataError: A run has no results, or they share no episode.
        ConfigError: They ran over different data.
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
        nodes = comparison_nodes(self.comparison)
        for difference in self.comparison.differences:
            nodes.append(self._choices(difference))
        if self._chosen:
            nodes += self._pair(*self._chosen)
        self.show(nodes)

    def _choices(self, difference: Difference) -> Node:
        first = self._recordings[difference.against].results
        second = self._recordings[difference.name].results
        choices = [
            {
                "id": f"{difference.name}\x1f{episode_id}",
                "text": episode_id,
                "cells": (
                    word,
                    first[episode_id].prediction,
                    second[episode_id].prediction,
                    " → ".join(f"{run[episode_id].scores['f1']:.2f}" for run in (first, second)),
                ),
            }
            for word, ids in (("win", difference.wins), ("loss", difference.losses))
            for episode_id in ids[:_MOST_SHOWN]
        ]
        about = f"{difference.name} against {difference.against}: what it wins and loses in F1"
        data = {
            "about": about,
            "columns": ("episode", "", difference.against, difference.name, "F1"),
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
                gold=gold_of(result),
                title=run,
            )
            for place, run in enumerate((against, name))
        ]
        return [
            head_node(trace.task, result.answers, prediction=prediction_of(trace)),
            Node("branches", "branches.html", children=branches),
        ]
