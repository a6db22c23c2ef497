"""The learner of retrievable gradients: meta-trains a start from which one step writes a passage.

Inner: g, each passage's gradient of its mean next-token loss. Outer: the cross-entropy of the
answer under theta - alpha * sum of g over the question's passages, differentiated through g.

All passages of a micro-batch share one graph, and a question's memory is the sum of its own
passages' gradients and of some of the others': so memories learn to add, at no further cost.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.task import Example
from pmi_kernel.data import load_examples, load_stream, trained_hashes
from pmi_kernel.engines.loaded import LoadedModel
from pmi_kernel.lora.gradients import (
    Rows,
    adapted,
    differentiable_twice,
    head_logits,
    initial_tensors,
    logits_of,
    losses,
    passage_gradients,
    row_factors,
)
from pmi_kernel.lora.start import Start, StepOn, initial_steps
from pmi_kernel.lora.training import TrainRow, select_layers
from pmi_kernel.systems.checkpoints import find_checkpoint
from pmi_kernel.systems.regrad.evaluation import Evaluation, known_rows
from pmi_kernel.systems.regrad.prompts import gold_text, passage_text, question_prompt
from pmi_kernel.systems.regrad.rehearsal import Rehearsed, rehearsal
from pmi_kernel.systems.regrad.training import RegradTraining
from pmi_kernel.training.learner import Evaluated, Group, Sample
from pmi_kernel.training.taking import take


@dataclass(frozen=True, slots=True)
class _Item:
    """One sample: passages, and questions about them.

    Attributes:
        own: Its passages.
        alike: Passages of its context that do not answer, and that its memory holds too.
        others: All such passages of its context.
        asked: Prompts with their answers, of which the prompts are given.
        num_passages: How many passages its memory is to hold.
    """

    own: tuple[str, ...]
    alike: tuple[str, ...]
    others: tuple[str, ...]
    asked: tuple[TrainRow, ...]
    num_passages: int


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """A micro-batch, drawn.

    Attributes:
        passages: Each passage once.
        shares: Which of them each item's memory holds, 1 or 0.
        asked: Prompts with their answers, of each item as many, item by item.
        local: What is rehearsed.
        under: The item whose memory each is rehearsed under; -1 for the start itself.
    """

    passages: list[TrainRow]
    shares: Float[Tensor, "items passages"]
    asked: list[TrainRow]
    local: list[Rehearsed]
    under: list[int]


class RegradLearner:
    """Trains a `Start`; see `Learner`.

    Args:
        config: The settings.

    Raises:
        ConfigError: The model cannot be loaded, or its layers do not fit.
        DataError: The data cannot be read.
    """

    system = "regrad"

    def __init__(self, config: RegradTraining) -> None:
        self.config = config
        self.loaded = LoadedModel(config.model, device=config.device, dtype=config.dtype)
        self.model = self.loaded.model
        try:
            names = select_layers(
                self.loaded.rows, config.targets, config.depth, blocks=config.layers
            )
        except ValueError as error:
            raise ConfigError(f"targets or layers: {error}") from None
        self._data = load_stream(config.data)
        self.num_samples = len(self._data) // config.questions
        self._dev = load_examples(config.eval_data)[: config.eval_questions]
        self.theta = initial_tensors(
            self.loaded.rows, names, config.rank, config.seed, self.loaded.device
        )
        self.steps = initial_steps(self.theta, config.alpha, config.init_alpha)
        self._init_sha256 = ""
        if config.init:
            found = find_checkpoint(config.init, system=self.system)
            self.load(found.folder)
            self._init_sha256 = found.sha256
        self._rehearsed: Sequence[Rehearsed] = ()
        self._evaluation: Evaluation | None = None

    # -- see Learner ------------------------------------------------------------------------------

    def groups(self) -> Sequence[Group]:
        """See `Learner.groups`: the LoRA, and the step sizes unless they are fixed."""
        found = [Group("lora", self.theta)]
        if self.config.alpha != "fix" and self.config.outer_loss:
            named = {"all": next(iter(self.steps.values()))}
            steps = named if self.config.alpha == "same" else self.steps
            found.append(Group("alpha", steps, lr=self.config.alpha_lr, weight_decay=0.0))
        return found

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        """See `Learner.update`."""
        items = [self._item(sample) for sample in samples]
        draw = Random("/".join(f"{s.epoch}.{s.number}" for s in samples))
        passages, shares = self._shared(items, draw)
        if not self.config.outer_loss:
            return self._text_alone(passages, backward)
        local = self._drawn(draw)
        batch = _Batch(
            passages,
            shares,
            asked=[row for item in items for row in item.asked],
            local=local,
            # Every second one without a memory: the start itself must stay near the base.
            under=[draw.randrange(len(items)) if at % 2 else -1 for at in range(len(local))],
        )
        with ExitStack() as stack:
            if self.config.order == "second":
                stack.enter_context(differentiable_twice(self.model))
            step = self._joint if self.config.graphs == "joint" else self._single
            return step(batch, backward)

    def evaluate(self) -> Evaluated:
        """See `Learner.evaluate`."""
        if self._evaluation is None:
            self._evaluation = Evaluation(self.loaded, known_rows(self.loaded))
        return self._evaluation.of(self.start(), self._dev)

    def save(self, folder: Path) -> None:
        """See `Learner.save`."""
        self.start().save(folder)

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        start = Start.load(folder)
        take(self.theta, start.theta, folder)
        take(self.steps, start.steps, folder)

    def facts(self) -> Mapping[str, object]:
        """See `Learner.facts`."""
        described = self.loaded.describe()
        return {
            **{name: described[name] for name in ("model", "model_hash", "dtype")},
            "attention": "eager" if self.config.order == "second" else "as the model has it",
            "data": self.config.data,
            **trained_hashes(self.config.data, self.config.eval_data),
            "init_sha256": self._init_sha256,
        }

    def start(self) -> Start:
        """Return the start as it is now."""
        config = self.config
        on = StepOn(
            config.model,
            self.loaded.describe()["model_hash"],
            config.alpha,
            config.max_context_len,
            config.use_simple_prompt,
        )
        theta = {name: tensor.detach() for name, tensor in self.theta.items()}
        steps = {name: tensor.detach() for name, tensor in self.steps.items()}
        return Start(theta, steps, config.rank, config.scale, on)

    # -- what is drawn ----------------------------------------------------------------------------

    def _item(self, sample: Sample) -> _Item:
        config = self.config
        draw = Random(f"{config.seed}/{sample.epoch}/{sample.number}")
        first = sample.number * config.questions
        examples = [self._data[first + place] for place in range(config.questions)]
        num_passages = draw.choice(config.passages)
        own: dict[str, None] = {}
        others: dict[str, None] = {}
        for example in examples:
            related = example.gold.passages
            for paragraph in example.task.context:
                is_own = paragraph.title in related
                (own if is_own else others)[passage_text(paragraph)] = None
        if not config.only_related or not own:
            own |= dict.fromkeys(list(others)[: max(1, num_passages - len(own))])
        left = [text for text in others if text not in own]
        is_alike = draw.random() < config.alike
        return _Item(
            own=tuple(own),
            alike=tuple(left[: max(0, num_passages - len(own))]) if is_alike else (),
            others=tuple(left),
            asked=tuple(self._asked(example, tuple(own)) for example in examples),
            num_passages=num_passages,
        )

    def _asked(self, example: Example, passages: Sequence[str]) -> TrainRow:
        is_simple, chat = self.config.use_simple_prompt, self.loaded.chat
        task = example.task
        shown = () if self.config.blind_context else passages
        given = chat.render(question_prompt(task.question, shown, task.form, is_simple=is_simple))
        answer = chat.encode(gold_text(example, is_simple=is_simple))
        return TrainRow((*given, *answer), len(given))

    def _shared(
        self, items: Sequence[_Item], draw: Random
    ) -> tuple[list[TrainRow], Float[Tensor, "items passages"]]:
        """The passages of a micro-batch, each once, and which of them each item's memory holds."""
        places: dict[str, int] = {}
        for item in items:
            for text in (*item.own, *item.alike):
                places.setdefault(text, len(places))
        if len(items) == 1:  # nobody else's to hold
            for text in items[0].others[: max(0, items[0].num_passages - len(items[0].own))]:
                places.setdefault(text, len(places))
        shares = torch.zeros(len(items), len(places))
        for row, item in enumerate(items):
            mine = [places[text] for text in (*item.own, *item.alike)]
            rest = [place for place in places.values() if place not in mine]
            more = draw.sample(rest, min(len(rest), max(0, item.num_passages - len(mine))))
            shares[row, [*mine, *more]] = 1
        return [self._passage(text) for text in places], shares.to(self.loaded.device)

    def _passage(self, text: str) -> TrainRow:
        chat = self.loaded.chat
        return TrainRow((*chat.start_ids, *chat.encode(text))[: self.config.max_context_len])

    def _drawn(self, draw: Random) -> list[Rehearsed]:
        config = self.config
        if not config.locality:
            return []
        if not self._rehearsed:
            self._rehearsed = rehearsal(self.loaded, config.locality_texts, config.seed)
        return draw.choices(self._rehearsed, k=config.locality_rows)

    # -- the gradient -----------------------------------------------------------------------------

    def _text_alone(
        self, passages: Sequence[TrainRow], backward: Callable[[Tensor], None]
    ) -> dict[str, float]:
        """The baseline: the passages' own loss under the start."""
        rows = Rows(passages, self.loaded.device)
        same = {name: t.expand(len(passages), *t.shape) for name, t in self.theta.items()}
        with self.loaded.rows.using(row_factors(same, self._scaling)):
            loss = losses(self.model, rows).mean()
        backward(loss)
        return {"loss": loss.item(), "num_tokens": rows.num_tokens}

    def _joint(
        self,
        batch: _Batch,
        backward: Callable[[Tensor], None],
    ) -> dict[str, float]:
        """All graphs at once."""
        is_second = self.config.order == "second"
        gradients, inner = self._gradients(batch.passages, create_graph=is_second)
        memories = adapted(self.theta, self.steps, gradients, batch.shares)
        loss, parts = self._outer(memories, batch)
        backward(loss)
        return self._measures(parts, batch.passages, inner)

    def _single(
        self,
        batch: _Batch,
        backward: Callable[[Tensor], None],
    ) -> dict[str, float]:
        """One passage's graph at a time; the same gradient by the chain rule.

        With v the gradient of the loss by the adapted tensors, that by theta is the sum of v less
        the derivative of <g, alpha v> by theta, passage by passage; that by alpha is -<v, g>.
        """
        found = [self._gradients([passage]) for passage in batch.passages]
        inner = torch.cat([loss for _, loss in found])
        g = {name: torch.cat([one[name] for one, _ in found]) for name in self.theta}
        memories = {
            name: tensor.detach().requires_grad_()
            for name, tensor in adapted(self.theta, self.steps, g, batch.shares).items()
        }
        loss, parts = self._outer(memories, batch)
        leaves = [*memories.values(), *self.theta.values()]
        grads = torch.autograd.grad(loss, leaves, allow_unused=True)
        v = dict(zip(memories, grads, strict=False))
        at_start = dict(zip(self.theta, grads[len(memories) :], strict=True))
        direct = [
            (tensor * (v[name].sum(0) + (0 if at_start[name] is None else at_start[name]))).sum()
            - (
                self.steps[name] * torch.einsum("sp,p...,s...->...", batch.shares, g[name], v[name])
            ).sum()
            for name, tensor in self.theta.items()
        ]
        backward(torch.stack(direct).sum())
        for place, passage in enumerate(batch.passages):
            one, _ = self._gradients([passage], create_graph=True)
            wanted = {
                name: torch.tensordot(batch.shares[:, place], v[name], 1) for name in self.theta
            }
            contracted = [
                (one[name][0] * self.steps[name].detach() * wanted[name]).sum()
                for name in self.theta
            ]
            backward(-torch.stack(contracted).sum())
        return self._measures(parts, batch.passages, inner)

    def _gradients(
        self, passages: Sequence[TrainRow], *, create_graph: bool = False
    ) -> tuple[dict[str, Tensor], Tensor]:
        return passage_gradients(
            self.model,
            self.loaded.rows,
            self.theta,
            passages,
            scaling=self._scaling,
            create_graph=create_graph,
        )

    def _outer(
        self,
        memories: Mapping[str, Tensor],
        batch: _Batch,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss under the memories: of the answers, and of what must stay as it was."""
        loss = losses_under(
            self.loaded, memories, batch.asked, self._scaling, first=self.config.first_token
        )
        parts = {"answer": loss.mean()}
        total = parts["answer"]
        if batch.local:
            theta = self.theta
            both = {
                name: torch.cat([memories[name], theta[name][None]]) for name in theta
            }  # the last row is the start itself, which -1 stands for
            kl = self._drift(self._rows_of(both, batch.under), batch.local)
            parts["locality"] = kl
            total = total + self.config.locality * kl
        return total, {"loss": total, **parts}

    def _rows_of(self, memories: Mapping[str, Tensor], owners: Sequence[int]) -> dict[str, Tensor]:
        places = torch.tensor(owners, device=self.loaded.device)
        return {name: tensor[places] for name, tensor in memories.items()}

    def _drift(self, rows: Mapping[str, Tensor], texts: Sequence[Rehearsed]) -> Tensor:
        """The mean KL(base || under the rows' memories), in nats per token."""
        batch = Rows([one.text for one in texts], self.loaded.device)
        with torch.no_grad():
            base = head_logits(self.model, torch.cat([one.hidden for one in texts]))
            base = base.float().log_softmax(-1)
        with self.loaded.rows.using(row_factors(rows, self._scaling)):
            now = logits_of(self.model, batch.ids, batch.chosen).float().log_softmax(-1)
        return torch.nn.functional.kl_div(now, base, log_target=True, reduction="batchmean")

    @property
    def _scaling(self) -> float:
        return self.config.scale / self.config.rank

    @staticmethod
    def _measures(
        parts: Mapping[str, Tensor], passages: Sequence[TrainRow], inner: Tensor
    ) -> dict[str, float]:
        return {
            **{name: part.item() for name, part in parts.items()},
            "passage": inner.detach().mean().item(),
            "num_tokens": sum(len(passage.token_ids) for passage in passages),
        }


def losses_under(
    loaded: LoadedModel,
    rows: Mapping[str, Tensor],
    texts: Sequence[TrainRow],
    scaling: float,
    *,
    first: float = 1.0,
) -> Float[Tensor, " rows"]:
    """Return each text's mean loss, nats per token, row i under row i of the tensors.

    Where the texts are n times as many, n in a row are under the same one.
    """
    with loaded.rows.using(row_factors(rows, scaling)):
        return losses(loaded.model, Rows(texts, loaded.device), first=first)
