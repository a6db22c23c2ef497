"""Memories: LoRA weights, their training, and the layers that serve them row by row."""
