"""Many runs in one table, with the settings in which they differ, and drawn over each other."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from IPython.core.getipython import get_ipython

from pmi_kernel.core.errors import PmiError
from pmi_kernel.core.figures import FIGURES
from pmi_kernel.jobs import find_jobs
from pmi_kernel.jobs.status import GOING_ON
from pmi_kernel.reports.pages.figures import column_of
from pmi_kernel.reports.pages.render import Node, seconds
from pmi_kernel.reports.run_table import SCORES, RunRow, differing, read_run
from widgets.figures import Chart, overlaid_figure
from widgets.view import View

_DRAWN = 6
"""Runs that are drawn at first, the newest."""
_LONGEST = 60
"""Characters of a setting that a cell shows."""


class RunsView(View):
    """A table of runs: state, scores, seconds, and the settings in which they differ.

    A heading sorts; a check-box draws a run over the others: accuracy so far, and seconds.

    Args:
        runs: A folder of runs, a run's own, or several of these.
    """

    def __init__(self, runs: str | Path | Sequence[str | Path] = "../runs") -> None:
        super().__init__()
        if isinstance(runs, str | Path) and not _is_run(Path(runs)):
            self._root: Path | None = Path(runs)
            self._folders: list[Path] = []
        else:
            self._root = None
            self._folders = [
                Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)
            ]
        self._rows: dict[str, RunRow] = {}
        self._stamps: dict[str, float] = {}
        self._problems: list[str] = []
        self._drawn: set[str] | None = None
        self._sorted_by, self._is_descending = "run", False
        self._charts: list[Chart] = []
        self._look()

    @property
    def drawn(self) -> list[str]:
        """The runs that are drawn, by name."""
        return [name for name in self._rows if name in (self._drawn or ())]

    def on_refresh(self, *_: object) -> None:
        """The Refresh button."""
        self.submit("Reading the runs…", self._look)

    def on_sort(self, args: Mapping[str, Any], _: object) -> None:
        """A heading: sorts by it, and the other way round when it is clicked again."""
        column = str(args["column"])
        self._is_descending = not self._is_descending if column == self._sorted_by else False
        self._sorted_by = column
        self._show()

    def on_pick(self, _: object, values: Mapping[str, Any]) -> None:
        """The check-boxes: which runs are drawn."""
        self._drawn = {name for name, is_on in values.items() if is_on}
        self._show()
        self.submit("Drawing…", self._draw)

    def idle_status(self) -> str:
        """Return how many runs there are, or how to make one."""
        if self._rows:
            data = {self._rows[name].settings["data"] for name in self.drawn}
            differ = " They are over different data: heights do not compare." * (len(data) > 1)
            num = len(self._rows)
            return f"{num} run{'s' * (num != 1)}, {len(self.drawn)} drawn.{differ}"
        where = self._root.resolve() if self._root else "the folders that were named"
        return f"No run in {where} yet: `pmi run --data sample --out runs/first` makes one."

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if get_ipython() is not None and not self._charts:
            self._charts = [Chart()]
            self._draw()

    def _look(self) -> None:
        folders = self._folders
        if self._root is not None:
            jobs = find_jobs(self._root) if self._root.is_dir() else []
            folders = [job.out for job in jobs if _is_run(job.out)]
        rows: dict[str, RunRow] = {}
        self._problems = []
        for out in folders:
            name = str(out.relative_to(self._root)) if self._root else str(out)
            try:
                rows[name] = self._read(name, out)
            except (PmiError, OSError) as error:
                self._problems.append(str(error))
        self._problems += [_unreadable(row) for row in rows.values() if row.unreadable]
        self._rows = rows
        if self._drawn is None and rows:
            newest = sorted(rows, key=lambda name: -rows[name].out.stat().st_mtime)
            self._drawn = set(newest[:_DRAWN])
        self._show()
        self._draw()

    def _read(self, name: str, out: Path) -> RunRow:
        """A run, read anew where something was written to it since, or its owner may have died."""
        stamp = max((path.stat().st_mtime for path in out.glob("*.json*")), default=0.0)
        known = self._rows.get(name)
        if known is None or stamp != self._stamps[name] or known.state in GOING_ON:
            self._stamps[name] = stamp
            return read_run(out)
        return known

    def _draw(self) -> None:
        if self._charts and not self.drawn:
            self._charts[0].clear()
        elif self._charts:
            figure = overlaid_figure({name: self._rows[name] for name in self.drawn})
            caption = "EM so far and seconds so far, over the episodes in the order of their ids."
            self._charts[0].draw(figure, caption)

    def _show(self) -> None:
        names = differing(self._rows.values())
        headings = ["run", "state", "done", *(FIGURES[one].heading for one in SCORES)]
        headings += ["seconds an episode", *names]
        order = self._order(names)
        found = [self._rows[name] for name in order]
        columns = [
            column_of(one, [row.scores.get(one) for row in found])["cells"] for one in SCORES
        ]
        table = {
            "caption": "Scores with 95 % intervals; then the settings in which the runs differ.",
            "headings": headings,
            "sorted_by": self._sorted_by,
            "is_descending": self._is_descending,
            "rows": [
                {
                    "name": name,
                    "is_drawn": name in (self._drawn or ()),
                    "texts": (row.state, _done(row)),
                    "scores": [column[place] for column in columns],
                    "seconds": "" if row.mean_s is None else seconds(row.mean_s),
                    "settings": [_short(row.settings.get(one, "")) for one in names],
                }
                for place, (name, row) in enumerate(zip(order, found, strict=True))
            ],
        }
        button = {"action": "refresh", "label": "Refresh", "is_on": True, "help": "Look again"}
        self.show(
            [
                Node("toolbar", "toolbar.html", {"buttons": [button]}),
                *([Node("runs", "runs.html", table)] if found else []),
                *(
                    Node(f"problem-{place}", "unreadable.html", {"problem": problem})
                    for place, problem in enumerate(self._problems)
                ),
            ]
        )
        self.say(self.idle_status())

    def _order(self, names: Sequence[str]) -> list[str]:
        """The runs as the heading says; what has nothing there comes last."""
        key = self._keys(names).get(self._sorted_by, lambda row: str(row.out))
        empty = [name for name, row in self._rows.items() if key(row) is None]
        rest = [name for name in self._rows if name not in empty]
        rest.sort(key=lambda name: key(self._rows[name]), reverse=self._is_descending)
        return rest + empty

    def _keys(self, names: Sequence[str]) -> dict[str, Callable[[RunRow], Any]]:
        scores = {
            FIGURES[one].heading: lambda row, one=one: (
                row.scores[one].mean if one in row.scores else None
            )
            for one in SCORES
        }
        settings = {one: lambda row, one=one: _comparable(row.settings.get(one)) for one in names}
        return {
            "state": lambda row: row.state,
            "done": lambda row: len(row.results),
            "seconds an episode": lambda row: row.mean_s,
            **scores,
            **settings,
        }


def _is_run(out: Path) -> bool:
    return (out / "config.json").exists() and not (out / "train_log.jsonl").exists()


def _unreadable(row: RunRow) -> str:
    num = len(row.unreadable)
    return f"{row.out}: {num} lines of results cannot be read, the first {row.unreadable[0]}"


def _done(row: RunRow) -> str:
    return f"{len(row.results)} of {row.total}" if row.total is not None else str(len(row.results))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"


def _comparable(text: str | None) -> tuple[bool, float, str] | None:
    """Numbers by their size, before words; None where there is nothing."""
    if not text:
        return None
    try:
        return (False, float(text), "")
    except ValueError:
        return (True, 0.0, text)
