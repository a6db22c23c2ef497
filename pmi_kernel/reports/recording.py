"""Recorded episodes: any line of a run's traces, opened without a model."""

from collections.abc import Sequence
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.records import read_whole
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.trace import Trace
from pmi_kernel.core.traces import TraceFile
from pmi_kernel.reports.pages.again import Again
from pmi_kernel.reports.pages.render import Node
from pmi_kernel.reports.pages.trace_nodes import replay_nodes
from pmi_kernel.runs import underway
from pmi_kernel.runs.files import RECORD


class Recording:
    """A run directory, or a file of traces alone, read as it stands; it may still be growing.

    Args:
        path: A run directory or an `episode_trace*.jsonl`.

    Raises:
        DataError: There are no traces, or a record cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._files: dict[Path, tuple[float, TraceFile]] = {}
        self.notes = _notes(self.folder)
        self.again = Again.of(RECORD.read(self.folder))
        """How its episodes are run again; None where the record does not tell."""
        self.results: dict[str, EvalResult] = {}
        self.unreadable: list[str] = []
        """Where the lines are that no result could be read from."""
        self.refresh()

    @property
    def folder(self) -> Path:
        """The run directory, or the folder of the file of traces."""
        return self.path if self.path.is_dir() else self.path.parent

    def refresh(self) -> bool:
        """Look for what was written since; return whether there was anything.

        Raises:
            DataError: As `Recording`.
        """
        paths = sorted(self.path.glob("episode_trace*.jsonl")) if self.path.is_dir() else []
        if not self.path.is_dir():
            paths = [self.path]
        stamps = {path: path.stat().st_mtime for path in paths if path.exists()}
        if not stamps and not (self.folder / "request.json").exists():
            raise DataError(f"{self.path}: no such file of traces")
        is_changed = stamps != {path: stamp for path, (stamp, _) in self._files.items()}
        if is_changed:
            self._files = {path: (stamp, TraceFile(path)) for path, stamp in stamps.items()}
            self.unreadable = []
            self.results = {
                result.episode_id: result
                for path in sorted(self.folder.glob("eval_results*.jsonl"), reverse=True)
                for _, result in read_whole(EvalResult, path, self.unreadable)
            }
        return is_changed

    @property
    def is_probed(self) -> bool:
        """Whether the run's injections were probed."""
        record = RECORD.read(self.folder)
        return record is not None and record["probe"]

    @property
    def ids(self) -> list[str]:
        """The episodes that can be opened; in a run directory, those that are done."""
        found = dict.fromkeys(id_ for _, file in self._files.values() for id_ in file)
        if self.path.is_dir() and self.results:
            return sorted(id_ for id_ in found if id_ in self.results)
        return list(found)

    @property
    def underway(self) -> dict[str, Trace]:
        """The episodes that were begun and are not done, as far as they went, by id."""
        kept = underway.read(self.path) if self.path.is_dir() else {}
        return {id_: trace for id_, trace in kept.items() if id_ not in self.results}

    def trace(self, episode_id: str) -> Trace:
        """Return one episode's trace; of one that is not done, as far as it went.

        Raises:
            DataError: There is no such episode, or its line cannot be read.
        """
        if (so_far := self.underway.get(episode_id)) is not None:
            return so_far
        problem = DataError(f"{self.path}: no episode {episode_id!r} among {len(self.ids)}")
        for _, file in self._files.values():
            if episode_id in file:
                try:
                    return file[episode_id]
                except DataError as error:  # damaged here; another file may have it whole
                    problem = error
        raise problem

    def nodes(self, episode_id: str) -> list[Node]:
        """Return one episode as nodes.

        Raises:
            DataError: There is no such episode, or its line cannot be read.
        """
        result = self.results.get(episode_id)
        return replay_nodes(self.trace(episode_id), result, self.notes, self.again)


def _notes(folder: Path) -> Sequence[str]:
    """The model, where the run's record says it."""
    record = RECORD.read(folder)
    model = record["config"].get("model") if record else None
    return (str(model),) if model else ()
