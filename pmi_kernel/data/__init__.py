"""Data: reading, checking, fetching and inventing questions in HotpotQA's official layout."""

from pmi_kernel.data.hotpot import data_hash, data_path, load_examples, write_examples

__all__ = ["data_hash", "data_path", "load_examples", "write_examples"]
