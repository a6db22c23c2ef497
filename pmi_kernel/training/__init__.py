"""Training what a system learns before it is run: one loop, one kind of checkpoint."""

from pmi_kernel.training.checkpoint import Checkpoint, export, read_checkpoint
from pmi_kernel.training.config import TrainConfig
from pmi_kernel.training.fit import fit
from pmi_kernel.training.learner import Evaluated, Group, Learner, Sample

__all__ = [
    "Checkpoint",
    "Evaluated",
    "Group",
    "Learner",
    "Sample",
    "TrainConfig",
    "export",
    "fit",
    "read_checkpoint",
]
