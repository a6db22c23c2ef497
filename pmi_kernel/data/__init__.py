"""Data: reading, checking, fetching and inventing questions in HotpotQA's official layout."""

from pmi_kernel.data.hotpot import write_examples
from pmi_kernel.data.sources import (
    Data,
    data_hash,
    load_data,
    load_examples,
    load_stream,
    resolve_source,
)

__all__ = [
    "Data",
    "data_hash",
    "load_data",
    "load_examples",
    "load_stream",
    "resolve_source",
    "write_examples",
]
