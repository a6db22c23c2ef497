"""What is measured around an injection: answers and log-probabilities, before and after."""

from dataclasses import dataclass


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
            per token, at least 0; None where it was not measured.
        probe_s: Seconds that the probe itself took, writing the rephrasings included.
        same_tokens: Share in [0, 1] of the likeliest next tokens on those prompts that stayed the
            same; None where it was not measured.
    """

    step: int
    before: ProbeState
    after: ProbeState
    control: ProbeState | None
    control_episode_id: str | None
    drift_kl_nats: float | None
    probe_s: float
    same_tokens: float | None = None
