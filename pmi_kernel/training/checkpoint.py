"""A checkpoint: a folder that is whole or absent, with hashes of all that is in it."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter, with_config
from safetensors import SafetensorError
from typing_extensions import TypedDict

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import Kept, write_json
from pmi_kernel.jobs.status import Status, counted

STATE = "state"
"""Folder of what only a training that goes on needs."""
_KIND = "checkpoint"


@with_config(ConfigDict(extra="allow"))
class Meta(TypedDict):
    """What a checkpoint says of itself.

    `files` has the sha256 of every other file, by its path; `sha256` that of all the rest here.
    """

    kind: str
    system: str
    step: int
    files: dict[str, str]
    sha256: str


@with_config(ConfigDict(extra="allow"))
class Summary(TypedDict):
    """How far a training is, or what it came to."""

    system: str
    best_step: int | None
    steps: int
    total: NotRequired[int]
    ended: NotRequired[str | None]


META = Kept("meta.json", TypeAdapter(Meta), "put a copy back, or take another checkpoint")
SUMMARY = Kept("summary.json", TypeAdapter(Summary), "name one of the training's checkpoints")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is as it was written.

    Attributes:
        folder: Where it is.
        meta: What it says of itself: kind, system, step, config, settings, facts, versions, files.
    """

    folder: Path
    meta: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Steps of training that made it."""
        return int(self.meta["step"])

    @property
    def sha256(self) -> str:
        """The hash of what was learned: the same with and without what goes on with a training."""
        files: Mapping[str, str] = self.meta["files"]
        learned = {name: value for name, value in files.items() if not _is_state(name)}
        return _hash({"system": self.meta["system"], "files": learned})


def read_checkpoint(path: Path, *, system: str | None = None) -> Checkpoint:
    """Return a checkpoint after comparing every file with its hash.

    Args:
        path: Its folder, or that of a training: its best one so far, else its last one.
        system: Name of the system that is to use it; None: any.

    Raises:
        ConfigError: There is none; it is another system's; it is torn, or a file of it is missing,
            unexpected or altered. Names the file.
    """
    folder = path if META.at(path).exists() else _of_training(path)
    meta: Mapping[str, Any] | None = META.read(folder)
    if meta is None or folder.suffix == ".partial":
        raise ConfigError(f"{folder} holds no whole checkpoint")
    system = meta["system"] if system is None else system
    if (meta["kind"], meta["system"]) != (_KIND, system):
        raise ConfigError(
            f"{folder} holds a {meta['kind']} of the system {meta['system']!r}, not a {_KIND} of "
            f"{system!r}"
        )
    if meta["sha256"] != _hash({**meta, "sha256": ""}):
        raise ConfigError(f"{META.at(folder)} was altered; {META.remedy}")
    there, said = set(_files(folder)), set(meta["files"])
    for word, names in (("misses", said - there), ("holds the unexpected", there - said)):
        if names:
            raise ConfigError(f"{folder} {word} {', '.join(sorted(names))}; {META.remedy}")
    for name, known in meta["files"].items():
        if _sha256(folder / name) != known:
            raise ConfigError(f"{folder / name} was altered; {META.remedy}")
    return Checkpoint(folder, meta)


def checkpoints(out: Path) -> list[Path]:
    """Return the folders of a training's whole checkpoints, the last one last."""
    return sorted(path for path in out.glob("step-*") if META.at(path).exists())


def found(out: Path) -> Status:
    """Return how far a training is by its summary; nothing where it has none.

    Raises:
        ConfigError: The summary is damaged.
    """
    summary = SUMMARY.read(out)
    if summary is None:
        return {}
    done = summary["steps"]
    is_over = summary.get("ended") in ("done", "patience")
    return counted("step", done, 0 if is_over else summary.get("total", done) - done)


def folder_of(out: Path, step: int) -> Path:
    """Return the folder of the checkpoint of a step."""
    return out / f"step-{step:08}"


def _of_training(out: Path) -> Path:
    summary, whole = SUMMARY.read(out), checkpoints(out)
    best = summary and summary["best_step"]
    if best is not None:
        return folder_of(out, best)
    if not whole:
        raise ConfigError(f"{out} holds no whole checkpoint")
    return whole[-1]


@contextmanager
def writing(folder: Path, meta: Mapping[str, object]) -> Iterator[Path]:
    """Yield a new folder, which is `folder` once all within is done and on the disk.

    Args:
        folder: Where the checkpoint is to be; there is nothing yet.
        meta: What it says of itself, but for kind and hashes.

    Raises:
        ConfigError: It cannot be written (a full disk, say); nothing of it is left.
    """
    partial = partial_of(folder)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        files = {name: _sha256(partial / name) for name in _files(partial)}
        sealed = {"kind": _KIND, **meta, "files": files, "sha256": ""}
        write_json(META.at(partial), {**sealed, "sha256": _hash(sealed)})
        for path in (*partial.rglob("*"), partial):
            _sync(path)
        partial.rename(folder)
        _sync(folder.parent)
    except (OSError, SafetensorError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or error
        raise ConfigError(
            f"{folder} cannot be written ({said}); the checkpoints before it are as they were: "
            "mend that, and the same command goes on from the last one"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def partial_of(folder: Path) -> Path:
    """Return where a checkpoint is written before it is whole."""
    return folder.with_name(f".{folder.name}.partial")


def prune(out: Path, keep_last: int, best_step: int | None) -> None:
    """Delete a training's checkpoints but for the last ones and the best one."""
    for folder in checkpoints(out)[:-keep_last]:
        if best_step is None or folder != folder_of(out, best_step):
            partial = partial_of(folder)  # half of one never looks like a whole one
            folder.rename(partial)
            shutil.rmtree(partial)


def remove_partial(out: Path) -> None:
    """Delete what a training that was killed had not made whole, or not quite deleted."""
    for partial in out.glob(".step-*.partial"):
        shutil.rmtree(partial)


def export(
    checkpoint: Checkpoint, to: Path, *, dtype: Literal["bfloat16"] | None = None
) -> Checkpoint:
    """Copy what was learned, without what goes on with a training, and return the copy.

    Args:
        checkpoint: What is copied.
        to: Where to; there is nothing yet.
        dtype: Round the float32 tensors to this: half the room, and another hash.

    Raises:
        ConfigError: The folder is there already, or cannot be written.
    """
    if to.exists():
        raise ConfigError(f"{to} is there already; name another folder")
    made = ("kind", "files", "sha256")
    meta = {name: value for name, value in checkpoint.meta.items() if name not in made}
    with writing(to, {**meta, **({"rounded_to": dtype} if dtype else {})}) as new:
        for name in checkpoint.meta["files"]:
            if not _is_state(name):
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                if dtype and name.endswith(".safetensors"):
                    _copy_rounded(checkpoint.folder / name, new / name)
                else:
                    shutil.copyfile(checkpoint.folder / name, new / name)
    return read_checkpoint(to, system=checkpoint.meta["system"])


def _copy_rounded(path: Path, to: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {
        name: tensor.bfloat16() if tensor.dtype == torch.float32 else tensor
        for name, tensor in load_file(path).items()
    }
    save_file(tensors, to)


def _is_state(name: str) -> bool:
    return name.startswith(f"{STATE}/")


def _files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != META.name)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
