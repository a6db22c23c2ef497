"""Episodes under way, kept step by step: what is left of them where a run is stopped or killed.

Nothing counts them as done; the next owner of the run begins them anew.
"""

from hashlib import sha256
from pathlib import Path

from pmi_kernel.core.records import encode, read_whole
from pmi_kernel.core.trace import Trace


def keep(out: Path, trace: Trace) -> None:
    """Write an episode's trace so far, in the place of what was there of it before.

    Raises:
        OSError: It could not be written whole; what was there stays.
    """
    path = _place(out, trace.task.id)
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(encode(trace) + "\n", encoding="utf-8")
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


def drop(out: Path, episode_id: str) -> None:
    """Forget an episode that is done."""
    _place(out, episode_id).unlink(missing_ok=True)


def read(out: Path) -> dict[str, Trace]:
    """Return what is kept, by episode id; a trace whose episode goes on has no end."""
    paths = sorted(out.glob("underway.*.jsonl"))
    traces = [trace for path in paths for _, trace in read_whole(Trace, path, [])]
    return {trace.task.id: trace for trace in sorted(traces, key=lambda one: one.task.id)}


def _place(out: Path, episode_id: str) -> Path:
    return out / f"underway.{sha256(episode_id.encode()).hexdigest()[:16]}.jsonl"
