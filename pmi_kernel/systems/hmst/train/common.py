"""What all stages of a hierarchy's training share."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.data import trained_hashes
from pmi_kernel.data.tokens import tokenizer_sha256
from pmi_kernel.engines.device import choose_device
from pmi_kernel.systems.checkpoints import find_checkpoint
from pmi_kernel.systems.hmst.model.hierarchy import UPCYCLED, HierarchyShape, load, make
from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.training.learner import Group


class HierarchyLearner:
    """The hierarchy that a stage trains; see `Learner`.

    Args:
        config: The settings.
        texts: A tokenizer is trained on these, for a base from nothing.
        tokenizer_path: A tokenizer in place of that: a folder, or a Hub name.

    Raises:
        ConfigError: A model, tokenizer or checkpoint cannot be loaded.
    """

    system = "hmst"

    def __init__(
        self, config: HMSTTraining, texts: Iterable[str] = (), tokenizer_path: str = ""
    ) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self._init_sha256 = ""
        if config.init:
            found = find_checkpoint(config.init, system=self.system)
            self.hierarchy, self._init_sha256 = load(found.folder), found.sha256
        else:
            is_upcycled = config.model_size.startswith(UPCYCLED)
            if config.stage != "language" and not is_upcycled:
                raise ConfigError(
                    f"stage {config.stage} begins at a base that can read: an --init of the stage "
                    f"before it, or --model_size {UPCYCLED}NAME"
                )
            shape = HierarchyShape(
                config.model_size, rank=config.rank, state=config.state, dimension=config.dimension
            )
            self.hierarchy = make(shape, texts, tokenizer_path=tokenizer_path, seed=config.seed)
        self.model: Any = self.hierarchy.base.lm
        self.hierarchy.to(self.device)

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""
        self.hierarchy.save(folder)

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        self.hierarchy.take(folder)

    def facts(self) -> Mapping[str, object]:
        """See `Learner.facts`."""
        total, active = self.hierarchy.base.num_parameters()
        data, eval_data = self.config.data, self.config.eval_data
        return {
            "model": self.hierarchy.shape.base,
            "base_hash": self.hierarchy.base_hash,
            "parameters": total,
            "active_parameters": active,
            "tokenizer_sha256": tokenizer_sha256(self.hierarchy.tokenizer),
            "init_sha256": self._init_sha256,
            **(trained_hashes(data, eval_data) if data else {}),
        }

    def _groups(self, tensors: Mapping[str, Tensor]) -> list[Group]:
        """Matrices, and without decay what has one dimension."""
        return [
            Group("matrices", {name: one for name, one in tensors.items() if one.dim() > 1}),
            Group(
                "vectors",
                {name: one for name, one in tensors.items() if one.dim() < 2},
                weight_decay=0.0,
            ),
        ]
