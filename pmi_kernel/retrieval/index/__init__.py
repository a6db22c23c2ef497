"""Indexes of corpora: built from a stream of passages, proven whole, searched by BM25."""
