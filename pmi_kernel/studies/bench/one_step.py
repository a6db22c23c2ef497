"""What one gradient step on a passage teaches, and what it breaks, beside the base model."""

import time
from collections.abc import Sequence
from pathlib import Path

from pmi_kernel.core.task import Example
from pmi_kernel.data import load_examples
from pmi_kernel.engines.hf import HfEngine
from pmi_kernel.reports.intervals import share_interval
from pmi_kernel.studies.bench.figures import show_figures
from pmi_kernel.systems.regrad.config import RegradConfig
from pmi_kernel.systems.regrad.evaluation import SIZES, Evaluation, known_rows
from pmi_kernel.systems.regrad.system import RegradSystem
from pmi_kernel.systems.start import OWN, read_start

_SETS = {
    "dev": "",
    "new_wordings": ",wordings=held_out",
    "new_relations": ",relations=held_out",
    "no_answer": ",unanswerable=1.0",
}
"""The worlds that are asked about; of the last no passage answers, and `unknown` is right."""


def one_step(
    checkpoint: str = OWN,
    n: int = 208,
    seed: int = 1,
    timed: int = 8,
    attributed: int = 60,
    out: Path | None = None,
) -> dict[str, float]:
    """What one gradient step teaches: shares in percent with 95 % intervals, and seconds.

    Asked of worlds that share no name and no sentence with training: one passage, one right among
    four and eight, another question's passage (wrong), the base model (closed); one passage where
    its sentence names the answer before what it is about, and after; the same in wordings and of
    relations that training never had, and where no passage answers; well-known questions kept, of
    those that the base model answers right. Then seconds of an injection, one at a time and eight
    at once; and, of four passages about things of one kind whose names are alike, how many
    questions are right (alike), and how often attribution finds the passage that answered.

    Args:
        checkpoint: As `--checkpoint` of the system.
        n: Questions of each kind.
        seed: Of the worlds; the training's evaluations had 0.
        timed: Injections to time, one at a time and all at once.
        attributed: Questions whose answer is put down to one of four passages.
        out: Write the figures here too, as JSON.
    """
    start, _ = read_start(checkpoint)
    engine = HfEngine(start.on.model, dtype="float32")
    evaluation = Evaluation(engine.loaded, known_rows(engine.loaded))
    figures: dict[str, float] = {"n": n}
    for name, settings in _SETS.items():
        examples = load_examples(f"world:split=dev,n={n},seed={seed},paragraphs=2{settings}")
        is_whole = name == "dev"
        sizes = SIZES if is_whole else (1,)
        counts, _ = evaluation.counts(start, examples, sizes=sizes, is_kept_asked=is_whole)
        for measure, found in counts.items():
            if found and (is_whole or measure in ("em_1", "closed")):
                figures |= _share(f"{name}_{measure}", found)
        if is_whole:
            for order, is_first in (("answer_first", True), ("answer_after", False)):
                own = [
                    is_right
                    for example, is_right in zip(examples, counts["em_1"], strict=True)
                    if _is_answer_first(example) is is_first
                ]
                figures |= {f"{order}_n": len(own), **_share(f"{order}_em_1", own)}
    system = RegradSystem(
        RegradConfig(checkpoint=checkpoint, topk=1, model=start.on.model, dtype="float32"), engine
    )
    examples = load_examples(f"world:split=dev,n={max(timed, 1)},seed={seed},paragraphs=1")
    texts = [f"{e.task.context[0].title}: {e.task.context[0].text}" for e in examples]
    _seconds(system, texts[:1])  # the first one of a process is slower
    figures["injection_s"] = _seconds(system, texts[:1])
    figures["injection_of_several_s"] = _seconds(system, texts) / len(texts)
    figures |= _attributed(checkpoint, engine, attributed, seed)
    return show_figures(figures, out)


def _share(name: str, found: Sequence[bool]) -> dict[str, float]:
    """A share in percent with its 95 % interval; nothing where nothing was asked."""
    if not found:
        return {}
    share = share_interval([float(one) for one in found])
    ends = (("", share.mean), ("_low", share.low), ("_high", share.high))
    return {f"{name}{end}": 100 * value for end, value in ends}


def _is_answer_first(example: Example) -> bool:
    """Whether the sentence that answers names the answer before what it is about.

    What predicts a token is what stands before it, so a next-token gradient hardly ties such an
    answer to what is asked ("A is B" does not teach "B is A": Berglund et al. 2023,
    arXiv:2309.12288).
    """
    fact = example.gold.supporting_facts[0]
    paragraph = next(one for one in example.task.context if one.title == fact.title)
    sentence = paragraph.sentences[fact.sentence]
    return 0 <= sentence.find(example.gold.answers[0]) < sentence.find(paragraph.title)


def _seconds(system: RegradSystem, texts: list[str]) -> float:
    """From texts in hand to a memory of each in force."""
    began = time.perf_counter()
    found = system.engine.gradients(texts, system.start)
    adapters = [
        system.engine.attach(system.start.stepped(system.start.theta, [(1.0, one.tensors)]))
        for one in found.of
    ]
    seconds = time.perf_counter() - began
    for adapter in adapters:
        system.engine.detach(adapter)
    return seconds


def _attributed(checkpoint: str, engine: HfEngine, count: int, seed: int) -> dict[str, float]:
    """Answers under a question's own four passages, which are alike; whom right ones are put to."""
    config = RegradConfig(
        checkpoint=checkpoint, topk=4, max_chars=100_000, attribute=True, dtype="float32"
    )
    system = RegradSystem(config, engine)
    found: list[float] = []
    is_right: list[bool] = []
    for example in load_examples(f"world:split=dev,n={count},seed={seed},paragraphs=4"):
        *_, last = system.steps(example.task)
        told = last.artifacts.get("attribution")
        is_right.append(last.text == example.gold.answers[0])
        if is_right[-1] and isinstance(told, dict):
            credits = told["credit_nats"]
            title = told["titles"][credits.index(max(credits))]
            found.append(float(title == example.gold.supporting_facts[0].title))
    figures = _share("alike_em_4", is_right)
    if not found:
        return {**figures, "attributed": 0.0}
    share = share_interval(found)
    return {
        **figures,
        "attributed": float(len(found)),
        "attributed_right": 100 * share.mean,
        "attributed_right_low": 100 * share.low,
    }
