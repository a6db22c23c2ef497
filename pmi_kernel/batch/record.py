"""What a run keeps about itself: configuration, data, model, versions and commit."""

import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pmi_kernel import __version__
from pmi_kernel.config import SystemConfig
from pmi_kernel.errors import ConfigError
from pmi_kernel.resources import PACKAGE

_PACKAGES = ("torch", "transformers", "peft", "numpy", "bm25s", "llguidance", "pydantic")


def make_record(
    config: SystemConfig,
    engine: Mapping[str, str],
    data: str,
    data_sha256: str,
    *,
    is_probed: bool,
    is_wrong_passage: bool = False,
    concurrency: int = 1,
) -> dict[str, Any]:
    """Return the run's record, as `config.json` has it.

    Args:
        config: The system's settings.
        engine: What the engine says of itself.
        data: Where the data came from, as `resolve_source` has it.
        data_sha256: Its hash.
        is_probed: Whether injections are probed.
        is_wrong_passage: Whether another question's snippet is injected.
        concurrency: Episodes at once in one engine, which may share a batch.
    """
    return {
        "system": config.system,
        "config": config.model_dump(mode="json"),
        "fingerprint": config.fingerprint(),
        "engine": dict(engine),
        "data": {"sha256": data_sha256},
        "data_source": data,
        "probe": is_probed,
        "wrong_passage": is_wrong_passage,
        "concurrency": concurrency,
        "batch_invariant": _batch_invariant(config, engine, concurrency),
        "versions": package_versions(),
        "git": git_state(),
    }


def _batch_invariant(config: SystemConfig, engine: Mapping[str, str], concurrency: int) -> str:
    """Whether results depend on what shares a batch with an episode."""
    if concurrency == 1 or config.max_batch == 1 or config.engine == "scripted":
        return "yes"
    return "to float32 rounding" if engine.get("dtype") == "float32" else "no"


def package_versions() -> dict[str, str]:
    """Return the versions of Python, the workbench and the packages that shape its numbers."""
    versions = {"python": sys.version.split()[0], "pmi-workbench": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions


def git_state() -> dict[str, object]:
    """Return which code this is: its commit, whether it was changed since, and its own hash.

    The commit is None where the package is not from a git work tree of its own, as in a wheel.
    """
    root = PACKAGE.parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *words], cwd=root, capture_output=True, encoding="utf-8", check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    # Whoever tracks this very file, from its own root, is the workbench's repository.
    own = f"{PACKAGE.name}/__init__.py"
    is_own = git("ls-files", "--full-name", own) == own
    status = git("status", "--porcelain") if is_own else None
    return {
        "commit": git("rev-parse", "HEAD") if is_own else None,
        "is_dirty": None if status is None else bool(status),
        "code_sha256": _code_hash(),
    }


def _code_hash() -> str:
    """The sha256 over the package's modules: the same in a source tree and in a wheel of it."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def add_provenance(
    before: Mapping[str, Any], record: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return who ran a run so far, with whoever goes on with it now, and how the last two differ.

    Args:
        before: What `config.json` has; its `provenance` lists who went on with the run.
        record: The run now.

    Returns:
        The new `provenance`, which is the old one where nothing differs; and a line for each
        package, or for the commit, that is not what it was.
    """
    entries = list(before.get("provenance", ()))
    last = entries[-1] if entries else before
    differing = [
        f"{name}: {old[name]} before, {new[name]} now"
        for part in ("versions", "git")
        for old, new in [(last.get(part, {}), record[part])]
        for name in new  # what an older record lacks is not known to differ
        if name in old and old[name] != new[name]
    ]
    if differing:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entries.append({"since": now, **{part: record[part] for part in ("versions", "git")}})
    return entries, differing


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, whole or not at all; several processes may at once."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        # A lone surrogate, e.g. of a path, is written as JSON's own escape.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_json(path: Path, default: Any = None) -> Any:
    """Return the value in a JSON file; `default` where there is none, or only part of one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def _known(engine: Mapping[str, Any]) -> dict[str, Any]:
    """What a recorded engine says that decides results; a Hub name once stood for its hash."""
    return {
        name: value
        for name, value in engine.items()
        if name != "dtype_reason" and not (name == "model_hash" and value == engine.get("model"))
    }


def check_same(record: Mapping[str, Any], before: Mapping[str, Any], out: Path) -> None:
    """Compare a run that is to go on, as far as it is known, with the record that it began with.

    Args:
        record: The run now, or parts of it.
        before: What `config.json` has.
        out: The run directory.

    Raises:
        ConfigError: They differ in a way that changes results; names each field with both values.
    """
    differing = []
    for part in ("system", "config", "engine", "data", "probe", "wrong_passage"):
        if part not in record:
            continue
        old, new = before.get(part, False), record[part]  # a record of old lacks wrong_passage
        if part == "engine":  # what was not recorded then is not compared
            old = _known(old or {})
            new = {name: value for name, value in _known(new).items() if name in old}
        if isinstance(old, dict) and isinstance(new, dict):
            differing += [
                f"{name}: {old.get(name)!r} there, {new.get(name)!r} here"
                for name in sorted({*old, *new})
                if old.get(name) != new.get(name)
            ]
        elif old != new:
            differing.append(f"{part}: {old!r} there, {new!r} here")
    if differing:
        raise ConfigError(
            f"{out} holds a run with another configuration ({'; '.join(differing)}); "
            "use the same settings to go on with it, or another --out"
        )
