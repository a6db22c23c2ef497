"""Scratchpad RAG: write down the evidence before answering."""
