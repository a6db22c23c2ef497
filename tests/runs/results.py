"""Whether two runs came to the same."""

import re
from pathlib import Path


def timeless(path: Path) -> str:
    """A file of records without what differs from one time to another."""
    return re.sub(r'("[a-z_]*_s": )[0-9.e-]+', r"\g<1>0", path.read_text(encoding="utf-8"))


def same(out: Path, whole: Path) -> bool:
    names = ("eval_results.jsonl", "episode_trace.jsonl")
    return all(timeless(out / name) == timeless(whole / name) for name in names)
