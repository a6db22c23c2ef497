"""A hierarchy of memories, and what decides which of them a question is worth."""

from pmi_kernel.systems.hmst.engine import HMSTInferenceEngine
from pmi_kernel.systems.hmst.memory.consolidator import MemoryConsolidator
from pmi_kernel.systems.hmst.memory.episodic import EpisodicMemory
from pmi_kernel.systems.hmst.memory.semantic import SemanticMemory
from pmi_kernel.systems.hmst.model.controller import MetaController, StateSummaryEncoder
from pmi_kernel.systems.hmst.model.critic import CriticModel
from pmi_kernel.systems.hmst.model.moe import BaseMoEModel
from pmi_kernel.systems.hmst.model.sizes import (
    get_base_config,
    get_large_config,
    get_micro_config,
    get_small_config,
    get_tiny_config,
)
from pmi_kernel.systems.hmst.model.ssm import EpisodicMemorySSM

__all__ = [
    "BaseMoEModel",
    "CriticModel",
    "EpisodicMemory",
    "EpisodicMemorySSM",
    "HMSTInferenceEngine",
    "MemoryConsolidator",
    "MetaController",
    "SemanticMemory",
    "StateSummaryEncoder",
    "get_base_config",
    "get_large_config",
    "get_micro_config",
    "get_small_config",
    "get_tiny_config",
]
