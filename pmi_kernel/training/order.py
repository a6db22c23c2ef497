"""The order of an epoch: a permutation that is computed, never listed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pmi_kernel.core.settings import stable_seed
from pmi_kernel.training.learner import Sample

_ROUNDS = 6

_Words = NDArray[np.uint64]


def samples(first: int, count: int, num_samples: int, seed: int, step: int = 0) -> Sequence[Sample]:
    """Return `count` samples of an endless row of epochs, from place `first` on.

    Each epoch has every number in [0, num_samples) once, in an order of its own that depends on
    (seed, epoch) alone.
    """
    found: list[Sample] = []
    while len(found) < count:
        epoch, start = divmod(first + len(found), num_samples)
        end = min(start + count - len(found), num_samples)
        places = np.arange(start, end, dtype=np.uint64)
        keys = [stable_seed("order", seed, epoch, number) for number in range(_ROUNDS)]
        found += [
            Sample(epoch, number, step) for number in _permuted(places, num_samples, keys).tolist()
        ]
    return found


def _permuted(places: _Words, size: int, keys: Sequence[int]) -> _Words:
    """A Feistel network over the next power of four; what falls outside goes through it again.

    Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains", section 4 (cycle walking).
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & low
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ np.uint64(key)) & low)
    found = left << half | right
    outside = found >= size
    if outside.any():
        found[outside] = _permuted(found[outside], size, keys)
    return found


def _mixed(words: _Words) -> _Words:
    """The finaliser of SplitMix64: every bit of the result depends on every bit of the word."""
    words = (words ^ words >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ words >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return words ^ words >> np.uint64(31)
