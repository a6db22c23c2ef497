"""Data: reading, checking, fetching, inventing and writing questions of many sets and layouts."""

from pmi_kernel.data.examples import Examples
from pmi_kernel.data.sources import (
    Data,
    data_hash,
    load_data,
    load_examples,
    load_stream,
    resolve_source,
    trained_hashes,
)
from pmi_kernel.data.writing import write_examples

__all__ = [
    "Data",
    "Examples",
    "data_hash",
    "load_data",
    "load_examples",
    "load_stream",
    "resolve_source",
    "trained_hashes",
    "write_examples",
]
