"""What an episode came to: its scores and costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pmi_kernel.core.task import Gold, SupportingFact
from pmi_kernel.core.trace import EndReason


@dataclass(frozen=True, slots=True)
class EvalResult:
    """The scored outcome of one episode; its line in the file marks the episode as done.

    Attributes:
        episode_id: The task's id.
        prediction: What the system answered.
        answers: The accepted gold answers.
        scores: In [0, 1], by name: `em` and `f1` with its `precision` and `recall`, by the data
            set's official metric, `sub_em` (whether a normalised gold answer stands within the
            prediction), and the metric's own score where it has one (`core.scoring`).
        end_reason: Why the episode ended.
        type: The data set's question type.
        level: The data set's difficulty.
        num_steps: Steps in the trace.
        num_searches: SEARCH steps.
        num_injections: INJECT steps.
        costs: Summed measures of all steps, with units in the keys; `controls_passed_over` counts
            questions that could not serve as control because their context tells the answer.
        known: What a model is expected to answer from its pretraining, as in `Gold`; else empty.
        metric: The official metric, a name of `core.scoring.METRICS`.
        supporting_facts: The gold sentences, as in `Gold`; none where the record is older.
        gold_position: Place of the first gold paragraph among the question's own, from 0; None
            where none of them is known to be gold, or the record is older.
        num_documents: Paragraphs of the question's own; 0 where the record is older.
    """

    episode_id: str
    prediction: str
    answers: tuple[str, ...]
    scores: Mapping[str, float]
    end_reason: EndReason
    type: str
    level: str
    num_steps: int
    num_searches: int
    num_injections: int
    costs: Mapping[str, float] = field(default_factory=dict)
    known: str = ""
    metric: str = "hotpotqa"
    supporting_facts: tuple[SupportingFact, ...] = ()
    gold_position: int | None = None
    num_documents: int = 0

    @property
    def gold(self) -> Gold:
        """What the record keeps of the gold."""
        return Gold(self.answers, self.supporting_facts, self.known)
