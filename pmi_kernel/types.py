"""The words of the workbench: records that every other module speaks in.

All records are frozen and slotted. A system sees a `Task` and never the `Gold`; only the metrics
and an episode's probes hold gold. Units are in the names: `_s` seconds, `_nats`, `_tokens`,
`_chars`, `_bytes`. Keys that end in `_s` or `_per_s` are timings: two runs of one configuration
agree on everything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One titled paragraph of a question's context, split in sentences as the data set has them."""

    title: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences as one string, white space folded to single blanks."""
        return " ".join(" ".join(self.sentences).split())


@dataclass(frozen=True, slots=True)
class Task:
    """What a system may see of a question: id, question and context paragraphs; no gold."""

    id: str
    question: str
    context: tuple[Paragraph, ...]


@dataclass(frozen=True, slots=True)
class SupportingFact:
    """One gold sentence: the paragraph's title and the sentence's position in it (from 0)."""

    title: str
    sentence: int


@dataclass(frozen=True, slots=True)
class Gold:
    """What only metrics and probes may see.

    Attributes:
        answers: Accepted answers, one or more.
        supporting_facts: The gold sentences.
        known: What a language model is expected to answer from its pretraining, where the context
            tells otherwise; else empty.
    """

    answers: tuple[str, ...]
    supporting_facts: tuple[SupportingFact, ...] = ()
    known: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A task with its gold, and the data set's own labels for it."""

    task: Task
    gold: Gold
    type: str = ""
    level: str = ""


class PassageUse(StrEnum):
    """What became of a ranked paragraph: shown whole, shown in part, or left out."""

    USED = "used"
    CUT = "cut"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Passage:
    """One paragraph as a search ranked it.

    Attributes:
        index: Position of the paragraph in `Task.context`.
        title: Its title.
        text: What of it became evidence; empty when it was left out.
        score: The retriever's score (higher is better; scale depends on the retriever).
        rank: 1 for the best.
        use: Whether it was used whole, cut at `max_chars`, or left out.
    """

    index: int
    title: str
    text: str
    score: float
    rank: int
    use: PassageUse


class ActionKind(StrEnum):
    """The two actions of the MEM1 protocol."""

    SEARCH = "search"
    ANSWER = "answer"


class ParseOutcome(StrEnum):
    """How reading an action from model output ended."""

    OK = "ok"
    NO_ACTION = "no_action"
    UNCLOSED = "unclosed"
    EMPTY_ARGUMENT = "empty_argument"


@dataclass(frozen=True, slots=True)
class Action:
    """The first action of a model output; `kind` is None unless `outcome` is OK."""

    kind: ActionKind | None
    argument: str
    outcome: ParseOutcome


class StepKind(StrEnum):
    """What a step did."""

    SEARCH = "search"
    COMPRESS = "compress"
    INJECT = "inject"
    ANSWER = "answer"


class EndReason(StrEnum):
    """Why an episode ended; every reason but ANSWERED forces the answer `unknown`."""

    ANSWERED = "answered"
    PARSE_FAILURE = "parse_failure"
    MAX_STEPS = "max_steps"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a system did.

    Attributes:
        kind: What was done.
        text: The query, the snippet, the text trained on, or the answer.
        index: Position in the trace, from 0; the episode sets it.
        raw: The model's whole output where the step came from one, else empty.
        parse: How `raw` was read as an action; None where no action was asked for.
        passages: After a search, every paragraph of the context in rank order.
        measures: Numbers, with units in the keys.
        artifacts: JSON values that are not single numbers (losses, module names).
        end_reason: Set on the last step only.
        adapter: Handle of the memory in force after the step (an engine's `Adapter`). It is live
            only: never recorded, not part of equality.
    """

    kind: StepKind
    text: str
    index: int = 0
    raw: str = ""
    parse: ParseOutcome | None = None
    passages: tuple[Passage, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, object] = field(default_factory=dict)
    end_reason: EndReason | None = None
    adapter: object | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class GoldScore:
    """The gold answer under one state of the weights, teacher-forced within its answer tags.

    Attributes:
        tokens: The answer's tokens as text, the same in every state that is compared.
        logprobs_nats: Log-probability of each token given those before it.
    """

    tokens: tuple[str, ...]
    logprobs_nats: tuple[float, ...]

    @property
    def total_nats(self) -> float:
        """Log-probability of the whole answer."""
        return sum(self.logprobs_nats)


@dataclass(frozen=True, slots=True)
class Recall:
    """One question and what the model says to it, in one state of the weights.

    Attributes:
        question: The question.
        answer: The model's answer.
        gold: The gold answer's score after it.
    """

    question: str
    answer: str
    gold: GoldScore


@dataclass(frozen=True, slots=True)
class UnrelatedAnswer:
    """One well-known question that no evidence touches, asked alone.

    Attributes:
        question: The question.
        answer: The model's answer.
        em: Exact match with an accepted answer, 0 or 1.
        sub_em: 1 where an accepted answer stands within the reply, else 0.
    """

    question: str
    answer: str
    em: float
    sub_em: float


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What the model says in one state of the weights.

    Attributes:
        answer: Its answer with the evidence in the prompt, as the system would prompt it.
        answer_no_evidence: Its answer to the question alone.
        gold: The gold answer's score after the prompt with evidence.
        gold_no_evidence: The same after the question alone.
        rephrased: The question in the base model's own other words, each asked alone; none where
            it wrote none, or was not asked to.
        unrelated: The unrelated questions; none where they were not asked.
    """

    answer: str
    answer_no_evidence: str
    gold: GoldScore
    gold_no_evidence: GoldScore
    rephrased: tuple[Recall, ...] = ()
    unrelated: tuple[UnrelatedAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """What one injection did, measured by the episode and never seen by the system.

    Attributes:
        step: Index of the INJECT step.
        before: The state just before the injection (earlier memories still there).
        after: The state just after it.
        control: The state after the same procedure with another question's snippet instead; None
            where no other question's context lacks the answer, or the engine could not hold both
            memories.
        control_episode_id: The question that gave the control its snippet.
        drift_kl_nats: Mean over tokens of KL(before || after) on fixed unrelated prompts, in nats
            per token, at least 0.
        probe_s: Seconds that the probe itself took, writing the rephrasings included.
        same_tokens: Share in [0, 1] of the likeliest next tokens on those prompts that stayed the
            same; None where it was not measured.
    """

    step: int
    before: ProbeState
    after: ProbeState
    control: ProbeState | None
    control_episode_id: str | None
    drift_kl_nats: float
    probe_s: float
    same_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """All steps of one episode, enough to show it again without a model.

    Attributes:
        task: What the system saw.
        system: Name of the system.
        fingerprint: Hash of the configuration that made the trace.
        steps: In order; the last one carries the answer and the end reason.
        probes: One for each probed injection; empty unless probing was asked for.
        is_restored: Whether scores under the base weights were bit-equal at the end of the episode
            and at its beginning; None where it was not checked.
    """

    task: Task
    system: str
    fingerprint: str
    steps: tuple[Step, ...]
    probes: tuple[Probe, ...] = ()
    is_restored: bool | None = None

    @property
    def prediction(self) -> str:
        """The answer of the last step."""
        return self.steps[-1].text

    @property
    def end_reason(self) -> EndReason:
        """Why the episode ended.

        Raises:
            ValueError: The trace is not complete.
        """
        reason = self.steps[-1].end_reason if self.steps else None
        if reason is None:
            raise ValueError(f"the trace of {self.task.id!r} has no end yet")
        return reason


@dataclass(frozen=True, slots=True)
class EvalResult:
    """The scored outcome of one episode; its line in the file marks the episode as done.

    Attributes:
        episode_id: The task's id.
        prediction: What the system answered.
        answers: The accepted gold answers.
        em: Official HotpotQA exact match, 0 or 1.
        f1: Official HotpotQA token F1, in [0, 1].
        precision: Token precision of that F1.
        recall: Token recall of that F1.
        sub_em: 1 where a normalised gold answer stands within the prediction, else 0.
        end_reason: Why the episode ended.
        type: The data set's question type.
        level: The data set's difficulty.
        num_steps: Steps in the trace.
        num_searches: SEARCH steps.
        num_injections: INJECT steps.
        costs: Summed measures of all steps, with units in the keys; `controls_passed_over` counts
            questions that could not serve as control because their context tells the answer.
        known: What a model is expected to answer from its pretraining, as in `Gold`; else empty.
    """

    episode_id: str
    prediction: str
    answers: tuple[str, ...]
    em: float
    f1: float
    precision: float
    recall: float
    sub_em: float
    end_reason: EndReason
    type: str
    level: str
    num_steps: int
    num_searches: int
    num_injections: int
    costs: Mapping[str, float] = field(default_factory=dict)
    known: str = ""
