"""How a run is doing while it runs: scores read from its files as they grow."""

from contextlib import suppress
from pathlib import Path

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.records import decode
from pmi_kernel.core.result import EvalResult
from pmi_kernel.runs.merge import RESULTS


class RunningScores:
    """EM and F1 of the episodes done so far; reads only what was appended since.

    Args:
        out: Run directory.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._offsets: dict[Path, int] = {}
        self.em: dict[str, float] = {}
        """EM by episode id."""
        self.f1: dict[str, float] = {}
        """F1 by episode id."""

    def update(self) -> int:
        """Read what is new and return the number of episodes done."""
        files = sorted(self._out.glob(f"{RESULTS}.*.jsonl"))
        for path in files or self._out.glob(f"{RESULTS}.jsonl"):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._offsets[path] = self._offsets.get(path, 0) + len(line)
                    with suppress(DataError):  # a damaged line is an episode owed again
                        result = decode(EvalResult, line)
                        self.em[result.episode_id] = result.scores["em"]
                        self.f1[result.episode_id] = result.scores["f1"]
        return len(self.em)
