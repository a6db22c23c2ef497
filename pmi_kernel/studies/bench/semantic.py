"""A million entries of a vector store: found, how soon, and removed."""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from pmi_kernel.studies.bench.figures import show_figures

if TYPE_CHECKING:
    from pmi_kernel.systems.hmst import SemanticMemory

_TOGETHER = 20_000


def semantic(
    entries: int = 1_000_000,
    dimension: int = 256,
    queries: int = 200,
    own: int = 48,
    removed: float = 0.01,
    seed: int = 0,
    out: Path | None = None,
) -> dict[str, float]:
    """Recall of compressed search against a flat one, milliseconds, and removal against a rebuild.

    Vectors are as embeddings are: most of them lies in a few directions, of falling weight, and
    there are some thousand topics. Both searches are asked one query at a time, in turns.

    Args:
        entries: In the store.
        dimension: Numbers of a vector.
        queries: Searched for, drawn as the entries are.
        own: Directions that carry most of a vector; with as many as its numbers it is the hardest.
        removed: Share of the entries that is removed.
        seed: Of the vectors.
        out: Write the figures here too, as JSON.
    """
    import faiss

    from pmi_kernel.systems.hmst import SemanticMemory

    made = _Vectors(dimension, own, seed)
    flat = faiss.IndexFlatIP(dimension)
    figures: dict[str, float] = {"entries": entries, "dimension": dimension}
    with TemporaryDirectory() as folder, SemanticMemory(dimension, Path(folder)) as memory:
        spent = 0.0
        for first in range(0, entries, _TOGETHER):
            vectors = made.drawn(min(_TOGETHER, entries - first))
            flat.add(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
            began = time.perf_counter()
            memory.add([f"entry {first + at}" for at in range(len(vectors))], vectors)
            spent += time.perf_counter() - began
        figures["add_s"] = spent
        figures |= _searches(memory, flat, made.drawn(queries))
        began = time.perf_counter()
        memory.save()
        figures["save_s"] = time.perf_counter() - began
        gone = np.random.default_rng(seed).choice(entries, int(removed * entries), replace=False)
        began = time.perf_counter()
        memory.remove_ids((gone + 1).tolist())
        figures["remove_s"] = time.perf_counter() - began
        began = time.perf_counter()
        memory.rebuild()
        figures["rebuild_s"] = time.perf_counter() - began
        figures["rebuild_over_remove"] = figures["rebuild_s"] / figures["remove_s"]
        sizes = {path.suffix: path.stat().st_size / 1e6 for path in Path(folder).iterdir()}
        figures |= {"index_mb": sizes[".faiss"], "texts_and_vectors_mb": sizes[".sqlite"]}
    return show_figures(figures, out)


class _Vectors:
    """Embedding-like vectors: a topic and something of one's own, both mostly in few directions."""

    def __init__(self, dimension: int, own: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        weights = np.full(dimension, 0.05)
        weights[:own] = np.linspace(1.0, 0.2, own)
        turned, _ = np.linalg.qr(self._rng.normal(size=(dimension, dimension)))
        self._mixing = (turned * weights[:, None]).astype(np.float32)
        self._topics = self._rng.normal(size=(4_000, dimension)).astype(np.float32)

    def drawn(self, count: int) -> np.ndarray:
        topics = self._topics[self._rng.integers(len(self._topics), size=count)]
        own = self._rng.normal(size=topics.shape).astype(np.float32)
        return (topics + own) @ self._mixing


def _searches(memory: "SemanticMemory", flat: Any, queries: np.ndarray) -> dict[str, float]:
    """Milliseconds of a query, and how many of the ten nearest are found."""
    seconds: tuple[list[float], list[float]] = [], []
    found = 0
    for query in queries:
        one = query[None]
        began = time.perf_counter()
        [hits] = memory.search(one, 10)
        between = time.perf_counter()
        _, [ids] = flat.search(one / np.linalg.norm(one), 10)
        seconds[0].append(between - began)
        seconds[1].append(time.perf_counter() - between)
        found += len({hit.id - 1 for hit in hits} & set(ids.tolist()))
    ours, exact = (np.array(one) * 1000 for one in seconds)
    return {
        "recall_at_10": found / (10 * len(queries)),
        "p50_ms": median(ours),
        "p95_ms": float(np.quantile(ours, 0.95)),
        "flat_p50_ms": median(exact),
    }
