"""Where a run's wrong answers went wrong: retrieval, compression, learning, use, or format.

Every wrong episode is put down to the first stage that failed it, in the order of the episode.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.metrics import score_answer
from pmi_kernel.core.records import read_records
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.task import Example
from pmi_kernel.core.trace import EndReason, StepKind, Trace
from pmi_kernel.data import load_data
from pmi_kernel.reports.tables import render_table
from pmi_kernel.runs.files import RECORD
from pmi_kernel.runs.merge import TRACES, read_results

_KEPT_SHARE = 0.8
"""A supporting sentence counts as kept when so much of its words is there."""


class Blame(StrEnum):
    """What an episode is put down to.

    RIGHT: exact match. FORMAT: the protocol was broken, or no answer came in time. NOT_RETRIEVED: a
    supporting sentence was in no evidence. LOST_IN_COMPRESSION: in the evidence, but in no snippet.
    NOT_LEARNED: in a snippet, but the gold answer, asked without evidence, was not likelier after
    the last injection than before the first. LEARNED_BUT_NOT_USED: asked without evidence the model
    says the gold answer, in the episode it does not. WRONG_ALTHOUGH_LEARNED: likelier, and still
    wrong. WRONG_ALTHOUGH_SHOWN: everything was in the evidence, nothing was injected.
    NOT_PROBED: everything was in a snippet; only a run with `--probe` can say more.
    """

    RIGHT = "right"
    FORMAT = "format"
    NOT_RETRIEVED = "not retrieved"
    LOST_IN_COMPRESSION = "lost in compression"
    NOT_LEARNED = "not learned"
    LEARNED_BUT_NOT_USED = "learned but not used"
    WRONG_ALTHOUGH_LEARNED = "wrong although learned"
    WRONG_ALTHOUGH_SHOWN = "wrong although shown"
    NOT_PROBED = "wrong, not probed"


@dataclass(frozen=True, slots=True)
class Blamed:
    """One episode and what it is put down to."""

    episode_id: str
    blame: Blame


def blame_episode(trace: Trace, result: EvalResult, example: Example) -> Blame:
    """Return what one episode is put down to.

    Args:
        trace: The episode.
        result: Its score.
        example: Its question with the supporting facts.
    """
    if result.scores["em"]:
        return Blame.RIGHT
    if trace.end_reason is not EndReason.ANSWERED:
        return Blame.FORMAT
    facts = _supporting(example)
    evidence = _texts(trace, StepKind.SEARCH)
    if evidence and not _holds(evidence, facts):
        return Blame.NOT_RETRIEVED
    if not any(step.kind == StepKind.INJECT for step in trace.steps):
        return Blame.WRONG_ALTHOUGH_SHOWN if evidence else Blame.NOT_RETRIEVED
    snippets = _texts(trace, StepKind.COMPRESS)
    if snippets and not _holds(snippets, facts):  # none where the evidence itself is learned
        return Blame.LOST_IN_COMPRESSION
    if not trace.probes:
        return Blame.NOT_PROBED
    first, last = trace.probes[0].before, trace.probes[-1].after
    if score_answer(last.answer_no_evidence, example.gold.answers).em:
        return Blame.LEARNED_BUT_NOT_USED
    if last.gold_no_evidence.total_nats <= first.gold_no_evidence.total_nats:
        return Blame.NOT_LEARNED
    return Blame.WRONG_ALTHOUGH_LEARNED


def blame(out: Path) -> list[Blamed]:
    """Return what each episode of a run is put down to, in the order of the ids.

    Raises:
        ConfigError: The run's record is not there.
        DataError: The run has no results, or its data file is gone, is not what it was or has no
            supporting facts.
    """
    record = RECORD.read(out)
    if record is None:
        raise ConfigError(f"{out} holds no run")
    results = read_results(out)
    if not results:
        raise DataError(f"{out} has no results yet")
    source, known = record["data_source"], record["data"]["sha256"]
    data = load_data(source)
    if data.sha256 != known:
        raise DataError(
            f"{source} is no longer what {out} was run over (sha256 {known[:12]} then, "
            f"{data.sha256[:12]} now); put the file back as it was"
        )
    examples = data.examples
    asked = set(examples.ids)
    if not any(examples.by_id(id_).gold.supporting_facts for id_ in results if id_ in asked):
        raise DataError(f"{source} has no supporting facts to tell the stages by")
    return [
        Blamed(id_, blame_episode(trace, results[id_], examples.by_id(id_)))
        for trace in read_records(Trace, out / f"{TRACES}.jsonl")
        for id_ in [trace.task.id]
        if id_ in results
    ]


def render_blame(episodes: Sequence[Blamed]) -> str:
    """Return how many episodes each stage is blamed for, with a few of their ids."""
    rows = []
    for kind in Blame:
        ids = [episode.episode_id for episode in episodes if episode.blame is kind]
        if ids:
            share = f"{100 * len(ids) / len(episodes):.1f}"
            rows.append((kind.value, str(len(ids)), share, ", ".join(ids[:3])))
    table = render_table(("stage", "n", "percent", "for example"), rows, max_chars=60)
    return f"{len(episodes)} episodes, each put down to the first stage that failed\n\n{table}"


def _supporting(example: Example) -> list[str]:
    paragraphs = {paragraph.title: paragraph for paragraph in example.task.context}
    return [
        f"{fact.title} {paragraphs[fact.title].sentences[fact.sentence]}"
        for fact in example.gold.supporting_facts
        if fact.title in paragraphs and fact.sentence < len(paragraphs[fact.title].sentences)
    ]


def _texts(trace: Trace, kind: StepKind) -> list[str]:
    if kind == StepKind.SEARCH:
        steps = (step for step in trace.steps if step.kind == kind)
        return [f"{p.title} {p.text}" for step in steps for p in step.passages if p.text]
    return [step.text for step in trace.steps if step.kind == kind]


def _holds(texts: Sequence[str], facts: Iterable[str]) -> bool:
    """Whether the texts together hold the words of every fact, each within one text."""
    known = [set(_words(text)) for text in texts]
    return all(
        any(len(wanted & words) >= _KEPT_SHARE * len(wanted) for words in known)
        for fact in facts
        for wanted in [set(_words(fact))]
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
