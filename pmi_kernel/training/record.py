"""What a training was begun with, and whether what is to go on is the same."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NotRequired, cast

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import Kept
from pmi_kernel.core.provenance import git_state, package_versions
from pmi_kernel.training.config import TrainConfig
from pmi_kernel.training.learner import Learner
from pmi_kernel.training.schedule import num_steps, rate

_FREE = (
    "log_every", "eval_every", "eval_first", "save_every", "keep_last", "patience", "max_bad_steps"
)  # fmt: skip
"""Settings that change no weight, only what is looked at and kept, and when it ends."""
_LENGTH = ("epochs", "steps")


@with_config(ConfigDict(extra="allow"))
class Record(TypedDict):
    """What a training was begun with; see `make_record`."""

    system: str
    num_samples: int
    config: dict[str, Any]
    learner: dict[str, Any]
    facts: dict[str, Any]
    machine: dict[str, Any]
    versions: NotRequired[dict[str, Any]]
    git: NotRequired[dict[str, Any]]


RECORD = Kept("config.json", TypeAdapter(Record), "put a copy back, or start in another folder")


def make_record(
    learner: Learner,
    config: TrainConfig,
    settings: Mapping[str, object],
    machine: Mapping[str, object],
) -> Record:
    """Return what `config.json` says.

    Args:
        learner: What is trained.
        config: How.
        settings: The learner's own.
        machine: How many processes there are, on which device, in which precision.
    """
    record = {
        "system": learner.system,
        "num_samples": learner.num_samples,
        "config": config.model_dump(mode="json"),
        "learner": dict(settings),
        "facts": dict(learner.facts()),
        "machine": dict(machine),
        "versions": package_versions(),
        "git": git_state(),
    }
    return cast("Record", json.loads(json.dumps(record, allow_nan=False, default=str)))


def check_same(
    record: Mapping[str, Any],
    before: Record,
    out: Path,
    step: int,
    say: Callable[[str], object] = lambda text: None,
) -> None:
    """Compare a training that is to go on, as far as it is known, with what it began with.

    Settings that change no weight may be others now. So may its length, where that is as if it had
    been so from the start: no step that is done had another learning rate.

    Args:
        record: The training now, or parts of it.
        before: What `config.json` has.
        out: The training's folder.
        step: Steps that are done.
        say: Told which other versions it goes on with.

    Raises:
        ConfigError: They differ in a way that changes results; names each field with both values.
    """
    may_differ = _FREE + (_LENGTH if _as_if_from_the_start(record, before, step) else ())
    differing = [
        f"{name}: {old!r} there, {new!r} here"
        for part in ("system", "num_samples", "config", "learner", "facts", "machine")
        if part in record
        for name, old, new in _differences(part, before.get(part), record[part])
        if not (part == "config" and name in may_differ)
    ]
    if differing:
        hint = ""
        if any(text.startswith(_LENGTH) for text in differing):
            hint = "; a length may change where all steps done keep their learning rates"
        raise ConfigError(
            f"{out} holds another training ({'; '.join(differing)}){hint}; use the same settings "
            "to go on with it, or another folder"
        )
    for part in ("versions", "git"):
        if part in record and part in before:
            for name, old, new in _differences(part, before[part], record[part]):
                say(f"{out}: gone on with by another version: {name}: {old} before, {new} now")


def _differences(part: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        return [(n, old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)]
    return [(part, old, new)] if old != new else []


def _as_if_from_the_start(record: Mapping[str, Any], before: Record, step: int) -> bool:
    new = TrainConfig(**record["config"])
    old = new.but(**{name: before["config"].get(name) for name in _LENGTH})
    ends = [num_steps(config, before["num_samples"]) for config in (old, new)]
    return ends[1] >= step and all(
        rate(old, done, ends[0]) == rate(new, done, ends[1]) for done in range(step)
    )
