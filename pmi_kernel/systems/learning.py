"""Training what a system learns before it is run: in this process, or in the background."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.settings import Settings
from pmi_kernel.data import load_stream, resolve_source
from pmi_kernel.data.overlap import refuse_overlap
from pmi_kernel.jobs import Job
from pmi_kernel.jobs import launch as launch_job
from pmi_kernel.jobs.job import REQUEST, Request
from pmi_kernel.jobs.owner import Owned, owned
from pmi_kernel.systems import SYSTEMS, imported
from pmi_kernel.training import Learner, TrainConfig, fit
from pmi_kernel.training.checkpoint import META, checkpoints
from pmi_kernel.training.processes import Processes
from pmi_kernel.training.random import seed_all
from pmi_kernel.training.record import RECORD, check_same
from pmi_kernel.training.report import OnRow

SHARED = ("seed", "device")
"""Settings of a training that are its learner's as well, where that has them."""
_SOURCES = ("data", "eval_data")
"""Settings of a learner that name questions, as `pmi run --data` takes them."""


def trained_systems() -> tuple[str, ...]:
    """Return the names of the systems that have a learner."""
    return tuple(name for name, entry in SYSTEMS.items() if entry.learner)


def learner_config_class(system: str) -> type[Settings]:
    """Return the config class of a system's learner.

    Raises:
        ConfigError: There is no such system, or it is not trained.
    """
    entry = SYSTEMS.get(system)
    if entry is None or entry.learner_config is None:
        there = ", ".join(trained_systems()) or "none"
        raise ConfigError(f"no system {system!r} that is trained (there are: {there})")
    return imported(entry.learner_config)


def preset(system: str, name: str, **changes: Any) -> tuple[Settings, TrainConfig]:
    """Return a learner's and a training's settings that go together, as `--preset` does.

    Args:
        system: Name of the system.
        name: One of its learner's presets.
        changes: Settings of either that are to be other than there.

    Raises:
        ConfigError: There is no such preset, or a setting is not right.
    """
    kind = learner_config_class(system)
    presets = getattr(kind, "presets", {})
    if name not in presets:
        raise ConfigError(
            f"preset {name}: there is no such preset of {system} (there are: "
            f"{', '.join(presets) or 'none'})"
        )
    told = {**getattr(kind, "defaults", {}), **presets[name], **changes}
    own = {key: value for key, value in told.items() if key in kind.model_fields}
    shared = {key: value for key, value in told.items() if key in TrainConfig.model_fields}
    return kind(**own), TrainConfig(**shared)


def open_learner(system: str, config: Settings) -> Learner:
    """Return a system's learner, after seeing that what it is measured on is not what it learns.

    Raises:
        ConfigError: The system is not trained, or something cannot be loaded.
        DataError: The questions cannot be read, or some are in both.
    """
    if not isinstance(config, learner_config_class(system)):
        raise ConfigError(f"{type(config).__name__} is no config of {system}'s learner")
    train, dev = (getattr(config, name, None) for name in _SOURCES)
    if train and dev:
        refuse_overlap(load_stream(train), load_stream(dev), (train, dev))
    return imported(str(SYSTEMS[system].learner))(config)


def launch_training(
    system: str, learner_config: Settings, train_config: TrainConfig, out: Path
) -> Job:
    """Start a training in the background and return at once; it outlives the process that called.

    The same call goes on with what was stopped.

    Args:
        system: Name of the system.
        learner_config: Its learner's settings; those of `SHARED` are the training's.
        train_config: How it is trained.
        out: The training's folder.

    Raises:
        ConfigError: It is running already, or the folder holds something else.
    """
    return launch_job("train", _request(system, learner_config, train_config, out), out)


def train(
    system: str,
    learner_config: Settings,
    train_config: TrainConfig,
    out: Path,
    *,
    on_row: OnRow = lambda row, total: None,
    on_start: Callable[..., object] = lambda: None,
    say: Callable[[str], object] = lambda text: None,
    lock: int | None = None,
) -> Path:
    """Train a system's learner as the owner of its folder, and return the best checkpoint's folder.

    Args:
        system: Name of the system.
        learner_config: Its learner's settings; those of `SHARED` are the training's.
        train_config: How it is trained.
        out: The training's folder; a training that is there is gone on with.
        on_row: Told of each row of both logs, and how many steps there are.
        on_start: Called when the folder is owned.
        say: Told of anything unusual, a line at a time.
        lock: What holds the folder, where it is held already.

    Raises:
        PmiError: As `open_learner` and `fit`.
        KeyboardInterrupt: It was cancelled or interrupted; what is done is kept.
    """
    request = _request(system, learner_config, train_config, out)

    def do(job: Owned | None) -> Path:
        config = learner_config_class(system)(**request["config"])
        seed_all(train_config.seed)
        learner = open_learner(system, config)
        return fit(
            learner, train_config, out, settings=request["config"], job=job, on_row=on_row, say=say
        )

    # Before anything is loaded: it makes this process's device the current one.
    if not Processes(train_config.device).is_main:
        return do(None)
    with plainly(out), owned(out, say, lock) as job:
        there = Job(out).verb
        if there not in (None, "train"):
            raise ConfigError(f"{out} holds a {there}; name another folder for this training")
        admit(request, out)
        with job.told():
            on_start()
            return do(job)


def _request(
    system: str, learner_config: Settings, train_config: TrainConfig, out: Path
) -> Request:
    """A request that means the same in any folder."""
    config = learner_config.model_dump(mode="json")
    config |= {name: getattr(train_config, name) for name in SHARED if name in config}
    config |= {name: resolve_source(config[name]) for name in _SOURCES if config.get(name)}
    settings = {**train_config.model_dump(mode="json"), "out": str(out.resolve())}
    return {"verb": "train", "system": system, "config": config, "settings": settings}


def discard_training(out: Path) -> None:
    """Delete a training, all of it; nothing is done where there is nothing.

    Raises:
        ConfigError: The folder holds something else, or the training is running.
    """
    if not out.exists():
        return
    with plainly(out):
        if not any(out.iterdir()):
            return
        job = Job(out)
        if job.verb != "train":
            raise ConfigError(f"{out} holds no training, so nothing in it is overwritten")
        if job.is_running:
            raise ConfigError(f"{out}: the training is running; cancel it first")
        shutil.rmtree(out)


# -- what jobs ask ------------------------------------------------------------------------------


def admit(request: Request, out: Path) -> None:
    """See `Work.admit`."""
    before, whole = RECORD.read(out), checkpoints(out)
    if before is not None and whole:
        _, train_config = _open(request)
        known = {
            "system": request["system"],
            "config": train_config.model_dump(mode="json"),
            "learner": request["config"],
        }
        meta = META.read(whole[-1])
        check_same(known, before, out, meta["step"] if meta else 0)
    REQUEST.write(out, request)


def work(
    request: Request, *, lock: int, on_start: Callable[..., object], say: Callable[[str], object]
) -> str:
    """See `Work.work`."""
    learner_config, train_config = _open(request)
    out = Path(request["settings"]["out"])
    best = train(
        request["system"], learner_config, train_config, out, on_start=on_start, say=say, lock=lock
    )
    return f"ended; the best checkpoint is {best}"


def asked(out: Path, **changes: Any) -> Request:
    """See `Work.asked`; the changes are of a training's settings, e.g. `steps` or `patience`."""
    request = REQUEST.read(out)
    if request is None:
        record = RECORD.read(out)
        if record is None:
            raise ConfigError(f"{out} holds no training to go on with")
        request = {
            "verb": "train",
            "system": record["system"],
            "config": record["learner"],
            "settings": record["config"],
        }
    learner_config, train_config = _open(request)
    return _request(request["system"], learner_config, train_config.but(**changes), out)


def _open(request: Request) -> tuple[Settings, TrainConfig]:
    settings = {name: value for name, value in request["settings"].items() if name != "out"}
    return learner_config_class(request["system"])(**request["config"]), TrainConfig(**settings)
