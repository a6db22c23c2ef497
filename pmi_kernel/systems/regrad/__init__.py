"""Retrievable gradients: each passage a gradient, and a memory their sum."""
