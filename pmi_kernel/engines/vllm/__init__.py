"""The vLLM engine: continuous batching, and memories taken in and out while it serves."""
