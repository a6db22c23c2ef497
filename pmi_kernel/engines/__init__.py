"""Serving engines: one protocol (`base`), a scripted one for tests, transformers, vLLM."""
