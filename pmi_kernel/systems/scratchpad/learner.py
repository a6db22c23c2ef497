"""The learner of scratchpads: next-token prediction on samples, by a LoRA or with all weights."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.scoring import score
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import Step
from pmi_kernel.data import load_examples, load_stream, trained_hashes
from pmi_kernel.data.placing import kept, shuffled
from pmi_kernel.engines.hf import HfEngine
from pmi_kernel.engines.loaded import LoadedModel
from pmi_kernel.lora.gradients import Rows, head_logits, initial_tensors, row_factors
from pmi_kernel.lora.start import A, B
from pmi_kernel.lora.training import TrainRow, select_layers
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import plain
from pmi_kernel.systems.checkpoints import find_checkpoint
from pmi_kernel.systems.scratchpad.config import ScratchpadConfig
from pmi_kernel.systems.scratchpad.samples import make_sample
from pmi_kernel.systems.scratchpad.system import SCRATCHPAD, WHOLE, ScratchpadSystem
from pmi_kernel.systems.scratchpad.training import ScratchpadTraining
from pmi_kernel.training.learner import Evaluated, Group, Sample
from pmi_kernel.training.taking import take

_TOGETHER = 256
"""Places whose logits are there at once: a vocabulary is wide, and a sample long."""
_SHOWN = 6


class ScratchpadLearner:
    """Trains a LoRA, or all weights, to write the evidence down and answer; see `Learner`.

    Args:
        config: The settings.

    Raises:
        ConfigError: The model cannot be loaded, its layers do not fit, or no sample is left.
        DataError: The data cannot be read.
    """

    system = "scratchpad"

    def __init__(self, config: ScratchpadTraining) -> None:
        self.config = config
        self._peft = config.peft()
        self.loaded = LoadedModel(config.model, device=config.device, dtype=config.dtype)
        self.model = self.loaded.model
        self.theta: dict[str, Tensor] = {}
        if self._peft is None:
            self.model.requires_grad_(True)
        else:
            try:
                names = select_layers(self.loaded.rows, self._peft.targets)
            except ValueError as error:
                raise ConfigError(f"peft_config {config.peft_config!r}: {error}") from None
            self.theta = initial_tensors(
                self.loaded.rows, names, self._peft.rank, config.seed, self.loaded.device
            )
        data = load_stream(config.data)
        self._rows: list[TrainRow] = []
        self.dropped = {"too_long": 0, "no_gold": 0}
        for place in range(min(len(data), config.num_train_samples)):
            if (row := self._row(data[place])) is not None:
                self._rows.append(row)
        if not self._rows:
            raise ConfigError(
                f"{config.data}: no sample is left ({self.dropped['no_gold']} have no gold "
                f"document or an empty one, {self.dropped['too_long']} are longer than the "
                f"{self.loaded.max_tokens} tokens of the model)"
            )
        self.num_samples = len(self._rows)
        self._dev = self._evaluated_on(load_examples(config.eval_data)[: config.num_val_samples])
        self._init_sha256 = ""
        if config.init:
            found = find_checkpoint(config.init, system=self.system)
            self.load(found.folder)
            self._init_sha256 = found.sha256

    def _row(self, example: Example) -> TrainRow | None:
        """A sample as tokens; None where it cannot be one, which is counted."""
        config, chat = self.config, self.loaded.chat
        draw = Random(f"{config.seed}/{example.task.id}")
        try:
            sample = make_sample(
                self._arranged(example, config.num_docs),
                is_written=config.train_method == "scratchpad",
                is_first=draw.random() < config.question_first,
            )
        except ValueError:
            self.dropped["no_gold"] += 1
            return None
        given = chat.render(plain(sample.given))
        tokens = (*given, *chat.encode(sample.learned), *self.loaded.eos_ids[:1])
        if len(tokens) > self.loaded.max_tokens:
            self.dropped["too_long"] += 1
            return None
        return TrainRow(tokens, len(given) if config.loss == "completion" else 0)

    def _arranged(self, example: Example, num_docs: int) -> Example:
        """A question with so many of its documents (0: all), in the order of the settings."""
        most = num_docs or None
        if self.config.shuffle:
            return shuffled(example, most, self.config.seed)
        return kept(example, most)

    def _evaluated_on(self, examples: Sequence[Example]) -> list[Example]:
        """The questions of an evaluation, with all documents or with the gold ones alone."""
        config, found = self.config, []
        for example in examples:
            titles = example.gold.passages
            num_gold = sum(one.title in titles for one in example.task.context)
            num = config.num_docs if config.eval_split == "val_anc" else max(1, num_gold)
            found.append(self._arranged(example, num))
        return found

    # -- see Learner ------------------------------------------------------------------------------

    def groups(self) -> Sequence[Group]:
        """See `Learner.groups`: the LoRA, or all weights."""
        if self._peft:
            return [Group("lora", self.theta)]
        return [Group("model", dict(self.model.named_parameters()))]

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        """See `Learner.update`."""
        self.model.train()
        batch = Rows([self._rows[sample.number] for sample in samples], self.loaded.device)
        with self._adapted():
            loss = self._loss(batch)
            backward(loss)
        tokens = int(_sizes(batch).sum())
        return {"loss": loss.item(), "num_tokens": batch.num_tokens, "sample_tokens": tokens}

    def evaluate(self) -> Evaluated:
        """See `Learner.evaluate`: what the system itself answers.

        Scores are in [0, 1]; `recall` is the share of gold documents of which a sentence was
        written down, `unmarked` that of outputs without an answer mark.
        """
        self.model.eval()
        config = ScratchpadConfig(
            method=self.config.train_method,
            checkpoint="none",
            max_new_tokens=self.config.max_new_tokens,
            last_answer_only=self.config.last_answer_only,
            max_batch=1,
        )
        weights = self.weights() if self._peft else None
        system = ScratchpadSystem(config, HfEngine(self.loaded), weights=weights)
        sums: dict[str, float] = {}
        shown: list[Mapping[str, str]] = []
        for example in self._dev:
            steps = list(system.steps(example.task))
            last = steps[-1]
            scores = score(last.text, example)
            found = {name: scores[name] for name in ("em", "f1", "sub_em")}
            found["unmarked"] = float(last.parse is not None and last.parse == "no_action")
            for step in steps:
                if step.kind == SCRATCHPAD:
                    found["recall"] = _recall(step, example)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value
            told = {"question": example.task.question, "answer": last.text, "output": last.raw}
            shown.append({**told, "gold": example.gold.answers[0]})
        measures = {name: value / len(self._dev) for name, value in sums.items()}
        return Evaluated(measures, tuple(shown[:_SHOWN]))

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""
        if self._peft:
            self.weights().save(folder, base_model=self.config.model)
        else:
            self.model.save_pretrained(folder / WHOLE)
            self.loaded.chat.save(folder / WHOLE)

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        if self._peft is None:
            self._take_whole(folder / WHOLE)
            return
        try:
            found = LoraWeights.load(folder)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{folder}: no LoRA can be read from it ({error})") from None
        tensors = {f"{name}{A}": one for name, one in found.a.items()}
        tensors |= {f"{name}{B}": one for name, one in found.b.items()}
        take(self.theta, tensors, folder)

    def facts(self) -> Mapping[str, object]:
        """See `Learner.facts`."""
        described = self.loaded.describe()
        return {
            **{name: described[name] for name in ("model", "model_hash", "dtype")},
            **trained_hashes(self.config.data, self.config.eval_data),
            "dropped": self.dropped,
            "longest_tokens": max(len(row.token_ids) for row in self._rows),
            "init_sha256": self._init_sha256,
        }

    def weights(self) -> LoraWeights:
        """Return the LoRA as it is now."""
        assert self._peft
        kept = {name: tensor.detach().cpu().clone() for name, tensor in self.theta.items()}
        a = {name.removesuffix(A): t for name, t in kept.items() if name.endswith(A)}
        b = {name.removesuffix(B): t for name, t in kept.items() if name.endswith(B)}
        return LoraWeights(a, b, self._peft.rank, self._peft.alpha)

    # -- the parts ----------------------------------------------------------------------------

    def _adapted(self) -> AbstractContextManager[None]:
        """Within the context the model is under the LoRA; all rows of a batch share it."""
        if self._peft is None:
            return nullcontext()
        own = {name: tensor[None] for name, tensor in self.theta.items()}
        return self.loaded.rows.using(row_factors(own, self._peft.alpha / self._peft.rank))

    def _loss(self, batch: Rows) -> Float[Tensor, ""]:
        """Mean next-token loss over all tokens that carry it, in nats.

        Logits are there for a few places at a time, on the way back too.
        """
        mask = torch.arange(batch.ids.shape[1], device=batch.ids.device) < _sizes(batch)[:, None]
        found = self.model.base_model(
            input_ids=batch.ids, attention_mask=mask.long(), use_cache=False
        )
        hidden = found.last_hidden_state[batch.chosen]
        total = hidden.new_zeros((), dtype=torch.float32)
        for part, targets in zip(
            hidden.split(_TOGETHER), batch.targets.split(_TOGETHER), strict=True
        ):
            total = total + checkpoint(_summed, self.model, part, targets, use_reentrant=False)
        return total / batch.num_tokens

    def _take_whole(self, folder: Path) -> None:
        from safetensors.torch import load_file

        found: dict[str, Tensor] = {}
        for path in sorted(folder.glob("*.safetensors")):
            found |= load_file(path)
        mine = dict(self.model.named_parameters())
        take(mine, {name: one for name, one in found.items() if name in mine}, folder)


def _summed(
    model: nn.Module, hidden: Float[Tensor, "places hidden"], targets: Int64[Tensor, " places"]
) -> Float[Tensor, ""]:
    logits = head_logits(model, hidden).float()
    return nn.functional.cross_entropy(logits, targets, reduction="sum")


def _sizes(batch: Rows) -> Int64[Tensor, " rows"]:
    """Tokens of each row: one more than the last place whose next token carries loss."""
    places = torch.arange(1, batch.ids.shape[1] + 1, device=batch.ids.device)
    return (batch.chosen * places).amax(1) + 1


def _recall(step: Step, example: Example) -> float:
    """Share of the gold documents of which a sentence was written down; 1 where there is none."""
    titles, copied = step.artifacts["titles"], step.artifacts["copied"]
    assert isinstance(titles, list)
    assert isinstance(copied, list)
    gold = set(titles) & example.gold.passages
    found = {titles[one["document"] - 1] for one in copied if one["document"]}
    return len(gold & found) / len(gold) if gold else 1.0
