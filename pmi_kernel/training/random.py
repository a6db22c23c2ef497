"""The states of all that draws at random, as tensors and JSON; nothing is pickled."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pmi_kernel.core.folder import write_json

States = tuple[dict[str, Tensor], dict[str, Any]]


def seed_all(seed: int) -> None:
    """Seed random, numpy and torch (on every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_states() -> States:
    """Return the states of random, numpy and torch: on the CPU, and on the current CUDA device."""
    version, words, gauss = random.getstate()
    kind, keys, place, has_gauss, next_gauss = np.random.get_state(legacy=True)
    tensors = {
        "random": torch.tensor(words),
        "numpy": torch.tensor(np.asarray(keys, dtype=np.int64)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        tensors["cuda"] = torch.cuda.get_rng_state()
    numpy_rest = [kind, int(place), int(has_gauss), float(next_gauss)]
    return tensors, {"random": [version, gauss], "numpy": numpy_rest}


def set_random_states(states: States) -> None:
    """Go on drawing from where `random_states` was taken."""
    tensors, rest = states
    version, gauss = rest["random"]
    random.setstate((version, tuple(tensors["random"].tolist()), gauss))
    kind, *numpy_rest = rest["numpy"]
    np.random.set_state((kind, tensors["numpy"].numpy().astype(np.uint32), *numpy_rest))
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"])


@contextmanager
def draws_undone() -> Iterator[None]:
    """At the context's end, go on drawing as if nothing had been drawn within."""
    states = random_states()
    try:
        yield
    finally:
        set_random_states(states)


def save_random(folder: Path, process: int) -> None:
    """Write this process's states into a folder."""
    tensors, rest = random_states()
    save_file(tensors, folder / f"random-{process}.safetensors")
    write_json(folder / f"random-{process}.json", rest)


def load_random(folder: Path, process: int) -> None:
    """Go on from the states that this process wrote."""
    rest = json.loads((folder / f"random-{process}.json").read_bytes())
    set_random_states((load_file(folder / f"random-{process}.safetensors"), rest))
