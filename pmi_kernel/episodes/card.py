"""The report card of an injection: what it taught, how far that carries, what it broke and cost.

After the model-editing literature (ROME, Meng et al. 2022, arXiv:2202.05262, section 3.3; MEND,
Mitchell et al. 2022, arXiv:2110.11309; EasyEdit, arXiv:2308.07269): efficacy on the question
itself, generalisation to rephrasings of it, locality on everything else. Every question is asked
alone, with no evidence in the prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.probe import Probe, ProbeState
from pmi_kernel.core.task import Gold
from pmi_kernel.core.trace import Step, Trace

CONTRASTS = (
    "gold_nats",
    "answered",
    "em",
    "known",
    "rephrased_nats",
    "rephrased",
    "unrelated",
    "unrelated_em",
)
"""The figures of a card that are told in three states of the weights."""

_REST = (
    "num_rephrasings",
    "drift_kl_nats",
    "same_tokens",
    "is_restored",
    "write_s",
    "train_s",
    "attach_s",
    "detach_s",
    "injection_s",
    "attached_bytes",
    "train_tokens",
    "probe_s",
)


@dataclass(frozen=True, slots=True)
class Contrast:
    """One figure in three states of the weights.

    Attributes:
        before: Before the injection.
        after: After it.
        wrong: After another question's passage was injected instead; None without that control.
    """

    before: float
    after: float
    wrong: float | None

    @property
    def rise(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def wrong_rise(self) -> float | None:
        """After the wrong passage minus before."""
        return None if self.wrong is None else self.wrong - self.before


@dataclass(frozen=True, slots=True)
class ReportCard:
    """What one injection did, or all of an episode's together.

    Attributes:
        episode_id: The question's id.
        num_injections: Injections that the card is about.
        gold_nats: Efficacy: log-probability of the whole gold answer, teacher-forced (ROME).
        answered: Efficacy: sub-span EM of the reply, 0 or 1.
        em: Efficacy: official EM of the reply, 0 or 1.
        known: Whether the reply holds the answer that is known from pretraining and contradicted
            by the evidence, 0 or 1; None where there is no such answer.
        num_rephrasings: Rephrasings that the base model wrote of the question.
        rephrased_nats: Generalisation: mean `gold_nats` over the rephrasings (MEND); None where
            there are none.
        rephrased: Generalisation: share of the rephrasings answered (sub-span EM), in [0, 1].
        unrelated: Locality: share of well-known unrelated questions answered (sub-span EM), in
            [0, 1]; None where they were not asked. A model that answers in sentences has this.
        unrelated_em: Locality: share of well-known unrelated questions answered (EM), in [0, 1];
            None where they were not asked.
        drift_kl_nats: Locality: mean KL(before || after) on unrelated texts, nats per token; of
            the last injection; None where it was not measured.
        same_tokens: Locality: share of the likeliest next tokens on those texts that stayed the
            same, in [0, 1]; None where it was not measured.
        is_restored: Whether base scores after the episode were bit-equal to those before it; None
            where it was not checked.
        write_s: Seconds of writing what was trained on; like all of the cost but the bytes, the
            mean of the card's injections.
        train_s: Seconds of training.
        attach_s: Seconds of putting the memory in force.
        detach_s: Seconds of taking it out, at the end of the episode; None before that, and of a
            memory that a later one replaced.
        attached_bytes: Size of the memory in force after the last injection.
        train_tokens: Tokens that carry loss.
        probe_s: Seconds of measuring all this, which is no part of the cost.
    """

    episode_id: str
    num_injections: int
    gold_nats: Contrast
    answered: Contrast
    em: Contrast
    known: Contrast | None
    num_rephrasings: int
    rephrased_nats: Contrast | None
    rephrased: Contrast | None
    unrelated: Contrast | None
    unrelated_em: Contrast | None
    drift_kl_nats: float | None
    same_tokens: float | None
    is_restored: bool | None
    write_s: float
    train_s: float
    attach_s: float
    detach_s: float | None
    attached_bytes: float
    train_tokens: float
    probe_s: float

    @property
    def injection_s(self) -> float:
        """Seconds of one injection in all: write, train, attach and, where known, detach."""
        return self.write_s + self.train_s + self.attach_s + (self.detach_s or 0.0)

    def contrasts(self) -> dict[str, Contrast]:
        """Return what is told in three states and there is, by name."""
        return {name: one for name in CONTRASTS if (one := getattr(self, name)) is not None}

    def figures(self) -> dict[str, float | None]:
        """Return every number by name; shares in [0, 1], other units in the names."""
        columns: dict[str, float | None] = {"num_injections": self.num_injections}
        for name in CONTRASTS:
            for state in ("before", "after", "wrong", "rise", "wrong_rise"):
                columns[f"{name}_{state}"] = getattr(getattr(self, name), state, None)
        columns |= {name: getattr(self, name) for name in _REST}
        is_restored = self.is_restored
        return columns | {"is_restored": None if is_restored is None else float(is_restored)}


def report_cards(trace: Trace, gold: Gold) -> tuple[ReportCard, ...]:
    """Return the report card of each probed injection.

    Args:
        trace: An episode, complete or not.
        gold: Its accepted answers, one or more, and the known answer if there is one.
    """
    return tuple(_card(trace, gold, (probe,)) for probe in trace.probes)


def episode_card(trace: Trace, gold: Gold) -> ReportCard | None:
    """Return one card for all of an episode's injections; None where none was probed.

    It tells the state before the first against the state after the last; the control is that of the
    first.
    """
    return _card(trace, gold, trace.probes) if trace.probes else None


def _card(trace: Trace, gold: Gold, probes: Sequence[Probe]) -> ReportCard:
    first, last = probes[0], probes[-1]
    steps = [trace.steps[probe.step] for probe in probes]
    is_last = last is trace.probes[-1]

    def contrast(figure: Callable[[ProbeState], float]) -> Contrast:
        wrong = None if first.control is None else figure(first.control)
        return Contrast(figure(first.before), figure(last.after), wrong)

    def replied(answers: Sequence[str], score: str) -> Contrast:
        return contrast(lambda s: getattr(score_answer(s.answer_no_evidence, answers), score))

    rephrased = first.before.rephrased
    return ReportCard(
        episode_id=trace.task.id,
        num_injections=len(probes),
        gold_nats=contrast(lambda s: s.gold_no_evidence.total_nats),
        answered=replied(gold.answers, "sub_em"),
        em=replied(gold.answers, "em"),
        known=replied((gold.known,), "sub_em") if gold.known else None,
        num_rephrasings=len(rephrased),
        rephrased_nats=contrast(lambda s: _mean([one.gold.total_nats for one in s.rephrased]))
        if rephrased
        else None,
        rephrased=contrast(
            lambda s: _mean([score_answer(one.answer, gold.answers).sub_em for one in s.rephrased])
        )
        if rephrased
        else None,
        unrelated=contrast(lambda s: _mean([one.sub_em for one in s.unrelated]))
        if first.before.unrelated
        else None,
        unrelated_em=contrast(lambda s: _mean([one.em for one in s.unrelated]))
        if first.before.unrelated
        else None,
        drift_kl_nats=last.drift_kl_nats,
        same_tokens=last.same_tokens,
        is_restored=trace.is_restored,
        write_s=_mean_cost(steps, "write_s"),
        train_s=_mean_cost(steps, "train_s"),
        attach_s=_mean_cost(steps, "attach_s"),
        detach_s=trace.steps[-1].measures.get("detach_s") if is_last else None,
        attached_bytes=steps[-1].measures.get("attached_bytes", 0),
        train_tokens=_mean_cost(steps, "train_tokens"),
        probe_s=_mean([probe.probe_s for probe in probes]),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _mean_cost(steps: Sequence[Step], name: str) -> float:
    """The mean of a measure; a step without it (nothing written, say) counts as 0."""
    return _mean([step.measures.get(name, 0.0) for step in steps])
