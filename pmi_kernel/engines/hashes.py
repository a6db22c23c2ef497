"""What a model's files hold, as hashes; taken from the files, whatever stands beside them."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from pmi_kernel.core.places import cache_dir
from pmi_kernel.engines.models import write_whole

_OTHER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
"""What is read of a model beside its weights."""


def weights_hash(folder: Path) -> str:
    """Return the sha256 over a model's weights, in the order of their files' names.

    It is kept in the workbench's cache until a file has another size, time or place on the disk.
    """
    paths = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    kept = cache_dir() / "hashes" / hashlib.sha256(_state(paths).encode()).hexdigest()
    try:
        known = kept.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        known = ""
    if not re.fullmatch("[0-9a-f]{64}", known):
        known = _sha256(paths)
        write_whole(kept, known)
    return known


def files_hash(folder: Path) -> str:
    """Return the sha256 over a model's settings, tokenizer and chat template.

    JSON counts by what it says; which version of transformers wrote it does not count.
    """
    digest = hashlib.sha256()
    for name in _OTHER_FILES:
        if (folder / name).is_file():
            digest.update(f"{name}\0".encode() + _content(folder / name) + b"\0")
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    try:
        value = json.loads(raw) if path.suffix == ".json" else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return raw
    value.pop("transformers_version", None)
    return json.dumps(value, sort_keys=True).encode()


def _state(paths: Sequence[Path]) -> str:
    """What changes when a file does."""
    stats = [(path.resolve(), path.stat()) for path in paths]
    return json.dumps(
        [
            (str(path), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev)
            for path, s in stats
        ]
    )


def _sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
