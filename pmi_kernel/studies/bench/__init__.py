"""Benchmarks: each one command that measures both sides in one run and prints ratios."""

from collections.abc import Callable

from pmi_kernel.studies.bench.batch import crash, episodes, harness
from pmi_kernel.studies.bench.encoding import encoding
from pmi_kernel.studies.bench.generation import generate
from pmi_kernel.studies.bench.hierarchy import hierarchy
from pmi_kernel.studies.bench.index import index
from pmi_kernel.studies.bench.injection import inject, restore, rows
from pmi_kernel.studies.bench.latents import latents
from pmi_kernel.studies.bench.memories import memories
from pmi_kernel.studies.bench.one_step import one_step
from pmi_kernel.studies.bench.scratchpad import scratchpad
from pmi_kernel.studies.bench.semantic import semantic
from pmi_kernel.studies.bench.train_loop import train_loop
from pmi_kernel.studies.bench.training import train

BENCHMARKS: dict[str, Callable[..., object]] = {
    "restore": restore,
    "inject": inject,
    "rows": rows,
    "train": train,
    "train_loop": train_loop,
    "generate": generate,
    "episodes": episodes,
    "harness": harness,
    "one_step": one_step,
    "encoding": encoding,
    "latents": latents,
    "scratchpad": scratchpad,
    "crash": crash,
    "index": index,
    "hierarchy": hierarchy,
    "semantic": semantic,
    "memories": memories,
}
"""Every benchmark by the name that `pmi bench` takes."""
