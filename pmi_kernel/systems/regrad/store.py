"""A bank of gradients on disk: one a passage and start, however many questions share it.

A folder for each start and format, under the cache. Gradients lie in shards (safetensors), each
written whole or not at all; `index.json` says which shard has which passage. Several processes may
add at once. It can be deleted at any time: what is missing is computed again.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from filelock import FileLock
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from typing_extensions import TypedDict

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import Kept, plainly
from pmi_kernel.core.places import cache_dir
from pmi_kernel.core.provenance import package_versions
from pmi_kernel.engines.base import Engine, Gradients
from pmi_kernel.engines.proxy import EngineProxy
from pmi_kernel.lora.start import Gradient, Start

Format = Literal["float32", "bfloat16", "int8"]
"""How a gradient is kept: as it is, or rounded; int8 with a scale along a tensor's longer side."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_SCALE = ".scale"


class Entry(TypedDict):
    """Where a passage's gradient is, and what was found when it was taken."""

    shard: str
    loss_nats: float
    num_tokens: int
    cut_tokens: int


INDEX = Kept("index.json", TypeAdapter(dict[str, Entry]), "delete the folder: it is made again")
META = Kept("meta.json", TypeAdapter(dict[str, Any]), "delete the folder: it is made again")
"""What a store is of: kind, checkpoint_sha256, format, versions."""


class GradientStore:
    """The gradients of one start, in one format.

    Args:
        folder: Where they are; made where it is not there.
        checkpoint_sha256: Hash of the start's checkpoint.
        format: How they are kept.

    Attributes:
        num_torn: Passages whose shard could not be read, and are to be taken again.

    Raises:
        ConfigError: The folder holds something else, or cannot be written.
    """

    def __init__(self, folder: Path, checkpoint_sha256: str, format: Format) -> None:
        self.folder, self.format = folder, format
        self.num_torn = 0
        wanted = {"kind": "gradients", "checkpoint_sha256": checkpoint_sha256, "format": format}
        with plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
            there = META.read(folder)
            if there is None:
                META.write(folder, {**wanted, "versions": package_versions()})
        for name, value in wanted.items():
            if there is not None and there.get(name) != value:
                raise ConfigError(
                    f"{folder} holds gradients with another {name} ({there.get(name)!r} there, "
                    f"{value!r} here); name another folder"
                )
        self._lock = FileLock(folder / ".lock")
        self._index = INDEX.read(folder) or {}

    @classmethod
    def of(cls, checkpoint_sha256: str, format: Format) -> "GradientStore":
        """Return the store of a start in the cache."""
        folder = cache_dir() / "gradients" / f"{checkpoint_sha256[:16]}-{format}"
        return cls(folder, checkpoint_sha256, format)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, text: str) -> bool:
        return _key(text) in self._index

    @property
    def num_bytes(self) -> int:
        """Size of all shards."""
        return sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))

    def get(self, text: str) -> Gradient | None:
        """Return a passage's gradient, in float32; None where it is not there, or torn."""
        key = _key(text)
        entry = self._index.get(key)
        if entry is None:
            return None
        tensors: dict[str, Tensor] = {}
        try:
            with safe_open(self.folder / entry["shard"], framework="pt") as shard:
                names = [name for name in shard.keys() if name.startswith(f"{key}/")]  # noqa: SIM118
                for name in names:
                    if not name.endswith(_SCALE):
                        tensor = shard.get_tensor(name).float()
                        if f"{name}{_SCALE}" in names:
                            tensor *= shard.get_tensor(f"{name}{_SCALE}")
                        tensors[name.removeprefix(f"{key}/")] = tensor
        except (OSError, SafetensorError):
            tensors = {}
        if not tensors:
            self.num_torn += 1
            del self._index[key]
            return None
        return Gradient(text, tensors, entry["loss_nats"], entry["num_tokens"], entry["cut_tokens"])

    def forget_torn(self) -> None:
        """Take every passage for missing whose shard is not there, or not whole."""
        whole: dict[str, bool] = {}
        for shard in {entry["shard"] for entry in self._index.values()}:
            try:
                with safe_open(self.folder / shard, framework="pt"):
                    whole[shard] = True
            except (OSError, SafetensorError):
                whole[shard] = False
        torn = [key for key, entry in self._index.items() if not whole[entry["shard"]]]
        self.num_torn += len(torn)
        for key in torn:
            del self._index[key]

    def put(self, gradients: Sequence[Gradient]) -> None:
        """Add gradients, as one shard.

        Raises:
            ConfigError: They cannot be written (a full disk, say); nothing of them is left.
        """
        if not gradients:
            return
        name = f"{uuid.uuid4().hex}.safetensors"
        kept: dict[str, Tensor] = {}
        for gradient in gradients:
            for tensor_name, tensor in gradient.tensors.items():
                kept |= self._kept(f"{_key(gradient.text)}/{tensor_name}", tensor)
        entries: Mapping[str, Entry] = {
            _key(one.text): {
                "shard": name,
                "loss_nats": one.loss_nats,
                "num_tokens": one.num_tokens,
                "cut_tokens": one.cut_tokens,
            }
            for one in gradients
        }
        partial = self.folder / f".{name}.partial"
        with plainly(self.folder):
            try:
                save_file(kept, partial)
                partial.replace(self.folder / name)
                with self._lock:
                    self._index = {**(INDEX.read(self.folder) or {}), **entries}
                    INDEX.write(self.folder, self._index)
            except SafetensorError as error:
                raise OSError(0, str(error), str(partial)) from error
            finally:
                partial.unlink(missing_ok=True)

    def _kept(self, name: str, tensor: Tensor) -> dict[str, Tensor]:
        if self.format != "int8":
            return {name: tensor.to(_DTYPES[self.format]).contiguous()}
        longer = max(range(tensor.dim()), key=lambda dim: tensor.shape[dim])
        scale = tensor.abs().amax(dim=longer, keepdim=True).clamp_min(1e-30) / 127
        rounded = (tensor / scale).round().to(torch.int8)
        return {name: rounded.contiguous(), f"{name}{_SCALE}": scale.contiguous()}


def format_of(folder: Path) -> Format:
    """Return the format that a folder's gradients are kept in.

    Raises:
        ConfigError: It holds none.
    """
    meta = META.read(folder) or {}
    if meta.get("kind") != "gradients" or meta.get("format") not in get_args(Format):
        raise ConfigError(f"{folder} holds no gradients")
    return cast("Format", meta["format"])


def stored_bytes(start: Start, format: Format) -> int:
    """Return what one passage's gradient takes, but for the file's own heading."""
    size = {"float32": 4, "bfloat16": 2, "int8": 1}[format]
    shapes = [tensor.shape for tensor in start.theta.values()]
    scales = sum(4 * shape.numel() // max(shape) for shape in shapes) if format == "int8" else 0
    return size * sum(shape.numel() for shape in shapes) + scales


class StoredGradients(EngineProxy):
    """Looks gradients up before it asks an engine for them, and keeps what the engine took.

    Args:
        engine: Takes what is not there.
        store: Where they are looked up.
    """

    def __init__(self, engine: Engine, store: GradientStore) -> None:
        super().__init__(engine)
        self.store = store

    def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
        """See `Engine.gradients`; each text is taken once, however often it is asked for."""
        there = {text: self.store.get(text) for text in texts}
        missing = [text for text, found in there.items() if found is None]
        taken = self.engine.gradients(missing, start) if missing else Gradients((), 0.0)
        self.store.put(taken.of)
        there |= {one.text: one for one in taken.of}
        found = tuple(one for text in texts if (one := there[text]) is not None)
        return Gradients(found, taken.seconds_s, num_found=len(texts) - len(missing))


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
