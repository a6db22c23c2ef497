"""A hierarchy of memories, and what decides which of them a question is worth."""

from pmi_kernel.systems.hmst.memory.semantic import SemanticMemory

__all__ = ["SemanticMemory"]
