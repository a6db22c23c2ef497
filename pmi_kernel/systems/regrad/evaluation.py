"""How well a start writes: questions asked after one step, and what else it moved."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.task import Example
from pmi_kernel.data.known import well_known
from pmi_kernel.engines.loaded import LoadedModel
from pmi_kernel.lora.gradients import Rows, adapted, logits_of, passage_gradients, row_factors
from pmi_kernel.lora.start import Start
from pmi_kernel.lora.training import TrainRow
from pmi_kernel.systems.regrad.prompts import (
    gold_text,
    known_prompt,
    passage_text,
    question_prompt,
)
from pmi_kernel.systems.regrad.rehearsal import continued
from pmi_kernel.training.learner import Evaluated

SIZES = (1, 4, 8)
"""Passages that a memory holds, of which one answers."""
_TOGETHER = 16
_SHOWN = 8
_KNOWN_TOKENS = 8


class Evaluation:
    """Asks questions of worlds and well-known ones under memories of one gradient step each.

    Measures, all shares in [0, 1]: `em_1 em_4 em_8`, questions of which the whole answer is the
    likeliest text (greedy decoding would give it, and end) where so many passages are held and one
    answers; `em` their mean; `wrong`, the same where one passage is held that is another's;
    `kept_0` to `kept_8`, well-known questions answered as the base model does, of those that it
    answers right, under so many passages (0: under the start itself).

    Args:
        loaded: The base model.
        known: What `known_rows` gave of the model.
    """

    def __init__(self, loaded: LoadedModel, known: Sequence[TrainRow]) -> None:
        self._loaded, self._known = loaded, known

    def of(self, start: Start, examples: Sequence[Example]) -> Evaluated:
        """Return what a start makes of some questions, each with one passage that answers."""
        counts, shown = self.counts(start, examples)
        measures = {name: sum(found) / len(found) for name, found in counts.items() if found}
        em = [measures[f"em_{size}"] for size in SIZES if f"em_{size}" in measures]
        measures["em"] = sum(em) / len(em)
        return Evaluated(measures, tuple(shown[:_SHOWN]))

    def counts(
        self,
        start: Start,
        examples: Sequence[Example],
        *,
        sizes: Sequence[int] = SIZES,
        is_kept_asked: bool = True,
    ) -> tuple[dict[str, list[bool]], list[Mapping[str, str]]]:
        """Return the measures one by one, by name (but for `em`), and what was likeliest.

        Beside the measures: `closed`, the questions under the base model, without a memory.

        Args:
            start: What is evaluated.
            examples: Questions, each with one passage that answers.
            sizes: Passages that a memory holds.
            is_kept_asked: Whether well-known questions are asked too.
        """
        self._start = start
        counts: dict[str, list[bool]] = defaultdict(list)
        shown: list[Mapping[str, str]] = []
        for first in range(0, len(examples), _TOGETHER):
            part = examples[first : first + _TOGETHER]
            gradients = self._gradients([self._own_passage(example) for example in part])
            asked = [self._asked(example) for example in part]
            for size in sizes:
                if size > len(part):
                    continue
                memories = self._memories(gradients, size)
                right, said = self._right(memories, asked)
                counts[f"em_{size}"] += right
                if is_kept_asked:
                    every = 7 if size == 1 else 5
                    known = self._known[first % every :: every]
                    kept, _ = self._right(_turned(memories, len(known)), known)
                    counts[f"kept_{size}"] += kept
                if size == 1:
                    wrong, _ = self._right(_turned(memories, len(asked), by=1), asked)
                    counts["wrong"] += wrong
                    counts["closed"] += self._right({}, asked)[0]
                    shown += [
                        {
                            "question": example.task.question,
                            "gold": example.gold.answers[0],
                            "likeliest": text,
                        }
                        for example, text in zip(part, said, strict=True)
                    ]
        if is_kept_asked:
            none = {name: tensor[None] for name, tensor in start.theta.items()}
            counts["kept_0"], _ = self._right(none, self._known)
        return counts, shown

    def _own_passage(self, example: Example) -> TrainRow:
        titles = example.gold.passages
        context = example.task.context
        paragraph = next((one for one in context if one.title in titles), context[0])
        chat = self._loaded.chat
        tokens = (*chat.start_ids, *chat.encode(passage_text(paragraph)))
        return TrainRow(tokens[: self._start.on.max_context_len])

    def _asked(self, example: Example) -> TrainRow:
        chat, is_simple, task = self._loaded.chat, self._start.on.is_simple, example.task
        given = chat.render(question_prompt(task.question, form=task.form, is_simple=is_simple))
        answer = chat.encode(gold_text(example, is_simple=is_simple))
        return TrainRow((*given, *answer), len(given))

    def _gradients(self, passages: Sequence[TrainRow]) -> dict[str, Tensor]:
        found, _ = passage_gradients(
            self._loaded.model,
            self._loaded.rows,
            self._start.theta,
            passages,
            scaling=self._start.scaling,
        )
        return found

    def _memories(self, gradients: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
        """For each passage a memory that holds it and the `size` - 1 after it, in a circle."""
        (count,) = {len(one) for one in gradients.values()}
        places = torch.arange(count, device=self._loaded.device)
        distance = (places[None] - places[:, None]) % count
        return adapted(self._start.theta, self._start.steps, gradients, (distance < size).float())

    @torch.no_grad()
    def _right(
        self, memories: Mapping[str, Tensor], texts: Sequence[TrainRow]
    ) -> tuple[list[bool], list[str]]:
        """Whether each text's last part is the likeliest, row i under memory i; and what is."""
        if not texts:
            return [], []
        rows = Rows(texts, self._loaded.device)
        with self._loaded.rows.using(row_factors(memories, self._start.scaling)):
            likeliest = logits_of(self._loaded.model, rows.ids, rows.chosen).argmax(-1)
        wrong = (likeliest != rows.targets).long()
        right = torch.zeros(len(texts), dtype=torch.long, device=wrong.device)
        right = right.index_add(0, rows.owners, wrong) == 0
        said = [
            self._loaded.chat.decode(likeliest[rows.owners == row].tolist()).strip()
            for row in range(len(texts))
        ]
        return right.tolist(), said


def known_rows(loaded: LoadedModel) -> list[TrainRow]:
    """Return the well-known questions that the base model answers right, with its own answers.

    None of them is rehearsed.
    """
    known = well_known(is_rehearsed=False)
    prompts = [loaded.chat.render(known_prompt(one.question)) for one in known]
    found = []
    for told_by, one in zip(continued(loaded, prompts, _KNOWN_TOKENS), known, strict=True):
        row = told_by.text
        told = row.token_ids[row.num_given :]
        answer, newline, _ = loaded.chat.decode(told).partition("\n")
        if newline and score_answer(answer, (one.answer,)).em:
            sizes = range(1, len(told) + 1)
            end = next(size for size in sizes if "\n" in loaded.chat.decode(told[:size]))
            found.append(TrainRow(row.token_ids[: row.num_given + end], row.num_given))
    return found


def _turned(memories: Mapping[str, Tensor], count: int, by: int = 0) -> dict[str, Tensor]:
    """So many memories, taken in a circle from the one in place `by`."""
    rows = len(next(iter(memories.values())))
    places = [(by + place) % rows for place in range(count)]
    return {name: tensor[places] for name, tensor in memories.items()}
