"""What a run keeps about itself: configuration, data, model, versions and commit."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.provenance import git_state, package_versions
from pmi_kernel.core.settings import SystemConfig
from pmi_kernel.systems import SYSTEMS, config_class


def make_record(
    config: SystemConfig,
    described: Mapping[str, str],
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
        described: What the system says of itself; `engine` in the record.
        data: Where the data came from, as `resolve_source` has it.
        data_sha256: Its hash.
        is_probed: Whether injections are probed.
        is_wrong_passage: Whether another question's snippet is injected.
        concurrency: Episodes at once in one engine, which may share a batch.
    """
    engine = dict(described)
    invariant = engine.pop("batch_invariant", "yes")
    hashes = [value for name, value in sorted(engine.items()) if name.endswith(("_hash", "sha256"))]
    return {
        "system": config.system,
        "config": config.model_dump(mode="json"),
        "fingerprint": config.fingerprint(data_sha256, *hashes),
        "engine": engine,
        "data": {"sha256": data_sha256},
        "data_source": data,
        "probe": is_probed,
        "wrong_passage": is_wrong_passage,
        "concurrency": concurrency,
        "batch_invariant": "yes" if concurrency == 1 else invariant,
        "versions": package_versions(),
        "git": git_state(),
    }


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


def _known(engine: Mapping[str, Any]) -> dict[str, Any]:
    """What a recorded engine says that decides results; a Hub name once stood for its hash."""
    return {
        name: value
        for name, value in engine.items()
        if name != "dtype_reason" and not (name == "model_hash" and value == engine.get("model"))
    }


def _filled_in(before: Mapping[str, Any]) -> Any:
    """A recorded config with the settings that came since, at what they were then."""
    if before.get("system") not in SYSTEMS:
        return before.get("config")
    try:
        kind = config_class(before["system"])
        return kind.recorded(before["config"]).model_dump(mode="json")
    except ConfigError:  # not one of today's: the fields that differ are named
        return before["config"]


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
        if part == "config":
            old = _filled_in(before)
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
            "use the same settings to go on with it, or another folder"
        )
