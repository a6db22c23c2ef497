"""An episode as it is recorded: its steps, and what was measured around them.

Units are in the names: `_s` seconds, `_nats`, `_tokens`, `_chars`, `_bytes`. Keys that end in `_s`
or `_per_s` are timings: two runs of one configuration agree on everything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pmi_kernel.core.probe import Probe
from pmi_kernel.core.task import Task


class PassageUse(StrEnum):
    """What became of a ranked paragraph: shown whole, shown in part, or left out."""

    USED = "used"
    CUT = "cut"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Passage:
    """One paragraph as a search ranked it.

    Attributes:
        index: Position of the paragraph in `Task.context`, or the passage's row in a corpus.
        title: Its title.
        text: What of it became evidence; empty when it was left out.
        score: The retriever's score (higher is better; scale depends on the retriever).
        rank: 1 for the best.
        use: Whether it was used whole, cut at `max_chars`, or left out.
        source: The corpus's index and the passage's id in it, as in `wiki/886`; empty for one of
            the task's own.
    """

    index: int
    title: str
    text: str
    score: float
    rank: int
    use: PassageUse
    source: str = ""


class ActionKind(StrEnum):
    """The two actions of the MEM1 protocol."""

    SEARCH = "search"
    ANSWER = "answer"


class ParseOutcome(StrEnum):
    """How reading an action from model output ended.

    NOT_ALLOWED: an answer that is none of those that the question admits.
    """

    OK = "ok"
    NO_ACTION = "no_action"
    UNCLOSED = "unclosed"
    EMPTY_ARGUMENT = "empty_argument"
    NOT_ALLOWED = "not_allowed"


@dataclass(frozen=True, slots=True)
class Action:
    """The first action of a model output; `kind` is None unless `outcome` is OK."""

    kind: ActionKind | None
    argument: str
    outcome: ParseOutcome


class StepKind(StrEnum):
    """What a step did, where several systems do the same; a system may have kinds of its own."""

    SEARCH = "search"
    COMPRESS = "compress"
    INJECT = "inject"
    ANSWER = "answer"


UNKNOWN = "unknown"
"""The answer that an episode is given which ended without one."""


class Change(StrEnum):
    """Whether a step changed what the system has learned, or the step after it will."""

    NEXT = "next"
    MADE = "made"


class EndReason(StrEnum):
    """Why an episode ended; every reason but ANSWERED forces the answer `UNKNOWN`."""

    ANSWERED = "answered"
    PARSE_FAILURE = "parse_failure"
    MAX_STEPS = "max_steps"
    STOPPED = "stopped"
    """Somebody asked for it; the step that says so stands after what was done."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a system did.

    Attributes:
        kind: What was done: a `StepKind`, or a system's own word.
        text: The query, the snippet, the text trained on, or the answer.
        index: Position in the trace, from 0; the episode sets it.
        raw: The model's whole output where the step came from one, else empty.
        parse: How `raw` was read as an action; None where no action was asked for.
        passages: After a search, every paragraph of the context in rank order.
        measures: Numbers, with units in the keys.
        artifacts: JSON values that are not single numbers (losses, module names).
        end_reason: Set on the last step only.
        change: Whether what is learned changed here, or will at the next step. Like `state` it is
            live only: never recorded, not part of equality.
        state: The memory in force after the step, as its system has it; None for none. Opaque to
            all others.
        prompt: What the model was given where the step came from one, to be copied; live only too.
    """

    kind: str
    text: str
    index: int = 0
    raw: str = ""
    parse: ParseOutcome | None = None
    passages: tuple[Passage, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, object] = field(default_factory=dict)
    end_reason: EndReason | None = None
    change: Change | None = field(default=None, compare=False, repr=False)
    state: object | None = field(default=None, compare=False, repr=False)
    prompt: str = field(default="", compare=False, repr=False)


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
        probe_s: Seconds of all measuring around the steps, which no measure of theirs counts; None
            where nothing was measured.
    """

    task: Task
    system: str
    fingerprint: str
    steps: tuple[Step, ...]
    probes: tuple[Probe, ...] = ()
    is_restored: bool | None = None
    probe_s: float | None = None

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
