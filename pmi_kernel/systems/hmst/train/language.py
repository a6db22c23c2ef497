"""The first stage: the base learns to go on with a text."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pmi_kernel.data.tokens import documents
from pmi_kernel.systems.hmst.train.common import HierarchyLearner
from pmi_kernel.systems.hmst.train.windows import Windows, read
from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.training.learner import Evaluated, Group, Sample

_TOGETHER, _SHOWN, _SHOWN_TOKENS = 8, 3, 24


class LanguageLearner(HierarchyLearner):
    """Trains the base model of a hierarchy by next-token prediction; see `Learner`.

    Args:
        config: The settings.

    Raises:
        ConfigError: A model or tokenizer cannot be loaded, or the text is too short.
        DataError: The text cannot be read.
    """

    def __init__(self, config: HMSTTraining) -> None:
        texts = documents(config.text) if config.text else iter(())
        tokenizer_path = config.tokenizer_path
        if config.pretokenized and not tokenizer_path:
            tokenizer_path = str(Path(config.pretokenized) / "tokenizer")
        super().__init__(config, texts, tokenizer_path)
        self._train, self._val = read(config, self.hierarchy.tokenizer)
        self.num_samples = len(self._train)

    def groups(self) -> Sequence[Group]:
        """See `Learner.groups`: the base alone."""
        named = self.hierarchy.learned().items()
        return self._groups({name: one for name, one in named if name.startswith("base.")})

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        """See `Learner.update`."""
        self.hierarchy.train()
        ids = self._ids(self._train, [sample.number for sample in samples])
        language, balance = self._losses(ids)
        loss = language + self.config.balance * balance
        backward(loss)
        return {
            "loss": loss.item(),
            "language_loss": language.item(),
            "balance": balance.item(),
            "num_tokens": ids[:, 1:].numel(),
        }

    def evaluate(self) -> Evaluated:
        """See `Learner.evaluate`: `loss` in nats a token, and `perplexity`."""
        self.hierarchy.eval()
        count = min(len(self._val), self.config.eval_samples)
        total = balance = 0.0
        with torch.no_grad():
            for first in range(0, count, _TOGETHER):
                numbers = range(first, min(first + _TOGETHER, count))
                language, of_experts = self._losses(self._ids(self._val, numbers))
                total += language.item() * len(numbers)
                balance += of_experts.item() * len(numbers)
        loss = total / count
        measures = {
            "loss": loss,
            "perplexity": math.exp(min(loss, 700)),
            "balance": balance / count,
        }
        return Evaluated(measures, tuple(self._gone_on(at) for at in range(min(_SHOWN, count))))

    def facts(self) -> Mapping[str, object]:
        """See `Learner.facts`."""
        return {
            **super().facts(),
            "text_sha256": self._train.sha256,
            "val_sha256": self._val.sha256,
            "tokens": self._train.count,
        }

    # -- the parts ------------------------------------------------------------------------------

    def _ids(self, windows: Windows, numbers: Sequence[int]) -> Tensor:
        rows = np.stack([windows.sample(number) for number in numbers])
        return torch.from_numpy(rows.astype(np.int64)).to(self.device)

    def _losses(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of the next token, in nats, and the load-balancing loss."""
        found = self.hierarchy.base(ids[:, :-1])
        logits = found.logits.float().flatten(0, 1)
        return cross_entropy(logits, ids[:, 1:].flatten()), found.balance

    def _gone_on(self, number: int) -> dict[str, str]:
        """The beginning of a held-out sample, and how the model goes on with it."""
        hierarchy = self.hierarchy
        tokens = self._val.sample(number)[:_SHOWN_TOKENS].astype(np.int64)
        new = hierarchy.base.generate(
            torch.from_numpy(tokens)[None].to(self.device),
            max_new_tokens=_SHOWN_TOKENS,
            end_ids=hierarchy.end_ids,
        )
        decode = hierarchy.tokenizer.decode
        return {"text": decode(tokens.tolist()), "goes on": decode(new.tolist())}
