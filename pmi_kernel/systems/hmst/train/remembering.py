"""The second stage: facts are told first and asked later, and the text is gone from the context."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.scoring import score
from pmi_kernel.core.task import Example, titled
from pmi_kernel.core.trace import UNKNOWN
from pmi_kernel.data import load_examples, load_stream
from pmi_kernel.systems.hmst.config import Asking
from pmi_kernel.systems.hmst.engine import (
    HMSTInferenceEngine,
    asked_text,
    critic_rows,
    prompt_text,
)
from pmi_kernel.systems.hmst.model.critic import auroc, calibration_error
from pmi_kernel.systems.hmst.train.common import HierarchyLearner
from pmi_kernel.systems.hmst.train.lessons import Claim, Lesson, gold_places, make_lesson
from pmi_kernel.systems.hmst.training import HMSTTraining
from pmi_kernel.training.learner import Evaluated, Group, Sample

_NO_LABEL = -100
_TEMPERATURE = 0.05
"""Of the cosines by which what supports an answer is to be found."""
_SHOWN, _TOGETHER = 6, 8


class MemoryLearner(HierarchyLearner):
    """Trains base, state-space memory, projections and critic together; see `Learner`.

    The base answers from what the memories give, or says that it does not know; the projections
    find what supports an answer among all that a batch was told (InfoNCE: van den Oord et al. 2018,
    arXiv:1807.03748); the critic tells right answers from plausible wrong ones.

    Args:
        config: The settings.

    Raises:
        ConfigError: A model or checkpoint cannot be loaded, or no question has an answer.
        DataError: The data cannot be read.
    """

    def __init__(self, config: HMSTTraining) -> None:
        super().__init__(config)
        self._data = load_stream(config.data)
        self.num_samples = len(self._data)
        self._dev = load_examples(config.eval_data)[: config.eval_questions]
        if not any(gold_places(example) for example in self._dev):
            raise ConfigError(f"{config.eval_data}: no question is supported by what is told")

    def groups(self) -> Sequence[Group]:
        """See `Learner.groups`: all but what decides."""
        deciding = ("controller.", "summary.")
        named = self.hierarchy.learned().items()
        return self._groups({name: one for name, one in named if not name.startswith(deciding)})

    def update(
        self, samples: Sequence[Sample], backward: Callable[[Tensor], None]
    ) -> Mapping[str, float]:
        """See `Learner.update`."""
        config, hierarchy = self.config, self.hierarchy
        hierarchy.train()
        lessons = [self._lesson(self._data[one.number], one) for one in samples]
        draw = Random(f"{config.seed}/depth/{samples[0].step}")
        depth = hierarchy.base.num_layers
        if draw.random() < config.shallow:
            depth = draw.choice(hierarchy.controller.choices.layers)
        answer, balance, num_tokens = self._answer_loss(lessons, depth)
        backward(answer + config.balance * balance)
        found = self._finding_losses(lessons)
        backward(config.retrieval * (found["semantic_loss"] + found["episodic_loss"]))
        logits, claims = self._judged(lessons)
        critic = hierarchy.critic.loss(
            logits,
            self._truths(claims, lambda claim: claim.is_logical),
            self._truths(claims, lambda claim: claim.is_factual),
        )
        backward(config.criticism * critic)
        parts = {"answer_loss": answer, **found, "critic_loss": critic, "balance": balance}
        told = {name: one.item() for name, one in parts.items()}
        return {"loss": sum(told.values()), **told, "depth": float(depth), "num_tokens": num_tokens}

    def evaluate(self) -> Evaluated:
        """See `Learner.evaluate`.

        `loss`, of right answers, in nats a token; `recent_em` and `long_ago_em`, of questions about
        what was told, from the episodic and from the semantic memory alone; `unknown`, of the
        others, that are answered so; `recent_first` and `long_ago_first`, shares of questions whose
        support comes first in its tier; the critic's `auroc` and `ece`, after its temperature was
        set on questions of the training.
        """
        hierarchy = self.hierarchy.eval()
        lessons = [self._lesson(one, Sample(0, at), self._dev) for at, one in enumerate(self._dev)]
        with torch.no_grad():
            losses = [self._answer_loss(some)[0].item() * len(some) for some in _parted(lessons)]
            self._calibrate(len(lessons))
            scores, truths = self._verdicts(lessons)
        found: dict[str, list[float]] = {}
        shown = []
        for example in self._dev:
            answer, measures = self._remembered(example)
            for name, value in measures.items():
                found.setdefault(name, []).append(value)
            told = {"question": example.task.question, "answer": answer}
            shown.append({**told, "gold": example.gold.answers[0]})
        hierarchy.train()
        measures = {name: sum(values) / len(values) for name, values in found.items()}
        measures["loss"] = sum(losses) / len(lessons)
        measures |= {"auroc": auroc(scores, truths), "ece": calibration_error(scores, truths)}
        return Evaluated(measures, tuple(shown[:_SHOWN]))

    # -- lessons --------------------------------------------------------------------------------

    def _lesson(
        self, example: Example, sample: Sample, source: Sequence[Example] | None = None
    ) -> Lesson:
        config = self.config
        return make_lesson(
            example,
            self._data if source is None else source,
            Random(f"{config.seed}/{sample.epoch}/{sample.step}/{example.task.id}"),
            most_evidence=config.most_evidence,
            without_gold=config.without_gold,
        )

    # -- losses ---------------------------------------------------------------------------------

    def _answer_loss(
        self, lessons: Sequence[Lesson], depth: int | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], int]:
        """Mean loss of the answers' tokens in nats, the load balance, and how many tokens."""
        hierarchy = self.hierarchy
        prompts = hierarchy.ids([prompt_text(one.question, one.evidence) for one in lessons])
        answers = hierarchy.ids([f" {one.answer}" for one in lessons])
        said = [[*row, *hierarchy.end_ids[:1]] for row in answers]
        ids, mask = hierarchy.padded([[*a, *b] for a, b in zip(prompts, said, strict=True)])
        labels = torch.full_like(ids, _NO_LABEL)
        for at, row in enumerate(said):
            labels[at, -len(row) :] = ids[at, -len(row) :]
        read = hierarchy.base(ids, mask, num_layers=depth)
        logits = read.logits[:, :-1].float().flatten(0, 1)
        loss = cross_entropy(logits, labels[:, 1:].flatten(), ignore_index=_NO_LABEL)
        return loss, read.balance, sum(map(len, said))

    def _finding_losses(self, lessons: Sequence[Lesson]) -> dict[str, Float[Tensor, ""]]:
        """How far what supports each question is from coming first among all that was told."""
        hierarchy = self.hierarchy
        texts = list(dict.fromkeys(text for one in lessons for text in one.told))
        place = {text: at for at, text in enumerate(texts)}
        shallow = hierarchy.controller.choices.layers[0]
        with torch.no_grad():
            told = hierarchy.encode(texts)
            asked = hierarchy.encode([one.question for one in lessons], num_layers=shallow)
        is_gold = torch.zeros(len(lessons), len(texts), dtype=torch.bool, device=self.device)
        for at, one in enumerate(lessons):
            is_gold[at, [place[one.told[gold]] for gold in one.gold]] = True
        found = {
            "semantic_loss": (hierarchy.queries(asked), hierarchy.entries(told)),
            "episodic_loss": (hierarchy.recall(asked.mean), hierarchy.summarised(told)),
        }
        return {name: _info_nce(*both, is_gold) for name, both in found.items()}

    def _judged(
        self, lessons: Sequence[Lesson]
    ) -> tuple[tuple[Float[Tensor, " claims"], Float[Tensor, " claims"]], list[Claim]]:
        """The critic's log-odds of all claims, which teach it and not the base."""
        hierarchy = self.hierarchy
        pairs = [(one.question, claim) for one in lessons for claim in one.claims]
        rows = [critic_rows(hierarchy, q, claim.evidence, claim.answer) for q, claim in pairs]
        ids, mask = hierarchy.padded([row for row, _ in rows])
        with torch.no_grad():
            hidden = hierarchy.base(ids, mask, last_only=True).hidden
        parts = hierarchy.padded([part for _, part in rows])[0]
        return hierarchy.critic.logits(hidden, mask, parts), [claim for _, claim in pairs]

    def _truths(
        self, claims: Sequence[Claim], truth: Callable[[Claim], bool]
    ) -> Bool[Tensor, " claims"]:
        return torch.tensor([truth(claim) for claim in claims], device=self.device)

    # -- measures -------------------------------------------------------------------------------

    def _calibrate(self, count: int) -> None:
        """Set the critic's temperature on questions from the end of the training data."""
        numbers = range(max(0, self.num_samples - count), self.num_samples)
        lessons = [self._lesson(self._data[one], Sample(0, one)) for one in numbers]
        judged = [self._judged(some) for some in _parted(lessons)]
        logical, factual = (
            torch.cat([both[head].float().cpu() for both, _ in judged]) for head in range(2)
        )
        truths = [claim.is_right for _, claims in judged for claim in claims]
        with torch.enable_grad():
            self.hierarchy.critic.calibrate((logical, factual), torch.tensor(truths))

    def _verdicts(self, lessons: Sequence[Lesson]) -> tuple[list[float], list[bool]]:
        """The critic's probabilities of all claims, and which are right."""
        scores: list[float] = []
        truths: list[bool] = []
        for some in _parted(lessons):
            logits, claims = self._judged(some)
            scores += self.hierarchy.critic.together(logits).tolist()
            truths += [claim.is_right for claim in claims]
        return scores, truths

    def _remembered(self, example: Example) -> tuple[str, dict[str, float]]:
        """What memories that were told a question's context answer, and measures of it."""
        texts = [titled(one.title, one.text) for one in example.task.context]
        gold = {texts[at] for at in gold_places(example)}
        engine = HMSTInferenceEngine(self.hierarchy, config=Asking(decide="always"))
        for text in texts:
            engine.tell(text)
        measures: dict[str, float] = {}
        for name in ("recent", "long_ago"):
            answered = engine.ask(asked_text(example.task), {"verify": False})
            if gold:
                fetched = answered.attempts[0].fetched
                measures[f"{name}_em"] = score(answered.text, example)["em"]
                measures[f"{name}_first"] = float(bool(fetched) and fetched[0].text in gold)
            else:
                measures["unknown"] = float(answered.text.strip().lower() == UNKNOWN)
            while engine.consolidator.consolidate():
                pass
        engine.close()
        return answered.text, measures


def _parted(lessons: Sequence[Lesson]) -> list[Sequence[Lesson]]:
    """A few at a time."""
    return [lessons[at : at + _TOGETHER] for at in range(0, len(lessons), _TOGETHER)]


def _info_nce(
    questions: Float[Tensor, "questions width"],
    texts: Float[Tensor, "texts width"],
    is_gold: Bool[Tensor, "questions texts"],
) -> Float[Tensor, ""]:
    """Mean loss, in nats, of the gold texts' share among all; 0 where no question has one."""
    asked = is_gold.any(1)
    if not asked.any():
        return 0.0 * (questions.sum() + texts.sum())
    cosines = normalize(questions.float(), dim=-1) @ normalize(texts.float(), dim=-1).T
    logprobs = (cosines / _TEMPERATURE).log_softmax(-1)
    return -logprobs.masked_fill(~is_gold, float("-inf"))[asked].logsumexp(-1).mean()
