"""What a hierarchy of memories answers, by where the fact is, and what its critic is worth."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import mean
from typing import Literal

from pmi_kernel.core.scoring import score
from pmi_kernel.core.task import Example, titled
from pmi_kernel.core.trace import UNKNOWN
from pmi_kernel.data import load_examples
from pmi_kernel.reports.intervals import share_interval
from pmi_kernel.studies.bench.figures import show_figures

_KINDS = ("in_context", "told_recently", "told_long_ago", "never_told", "nothing_told")


def memories(
    checkpoint: str,
    n: int = 200,
    paragraphs: int = 4,
    seed: int = 1,
    decide: Literal["controller", "always", "never"] = "controller",
    after_no: Literal["retry", "unknown", "keep"] = "unknown",
    device: str = "auto",
    out: Path | None = None,
) -> dict[str, float]:
    """Answers by where the fact is, in percent with 95 % intervals; the critic; what it cost.

    Each question is asked with its paragraphs beside it (`in_context`), after they were told
    (`told_recently`), after they were consolidated (`told_long_ago`), after another question's were
    told (`never_told`), and of empty memories (`nothing_told`). `em` is exact matches, `unknown`
    the share that is answered so: right of the last two. `hallucinated` is the share of those that
    were answered all the same. The critic judges right answers and plausible wrong ones.

    Args:
        checkpoint: Of pmi train hmst.
        n: Questions, on worlds that share no name and no sentence with training.
        paragraphs: Of each.
        seed: Of the worlds.
        decide: As in pmi run.
        after_no: As in pmi run.
        device: As in pmi run.
        out: Write the figures here too, as JSON.
    """
    from pmi_kernel.systems import open_system
    from pmi_kernel.systems.hmst.config import HmstConfig
    from pmi_kernel.systems.hmst.engine import HMSTInferenceEngine, asked_text
    from pmi_kernel.systems.hmst.model.critic import auroc, calibration_error
    from pmi_kernel.systems.hmst.system import HmstSystem
    from pmi_kernel.systems.hmst.train.lessons import make_lesson

    config = HmstConfig(checkpoint=checkpoint, decide=decide, after_no=after_no, device=device)
    system = open_system(config)
    assert isinstance(system, HmstSystem)
    hierarchy = system.hierarchy
    examples = load_examples(f"world:split=dev,n={n},seed={seed},paragraphs={paragraphs}")
    others = examples[1:] + examples[:1]
    rights: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    unknowns: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    spent: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    scores: list[float] = []
    truths: list[bool] = []

    def told(example: Example | None, *, is_old: bool = False) -> HMSTInferenceEngine:
        engine = HMSTInferenceEngine(hierarchy, config=config)
        for text in _texts(example) if example else ():
            engine.tell(text)
        while is_old and engine.consolidator.consolidate():
            pass
        return engine

    for example, other in zip(examples, others, strict=True):
        for kind in _KINDS:
            texts = {"told_recently": example, "told_long_ago": example, "never_told": other}
            engine = told(texts.get(kind), is_old=kind == "told_long_ago")
            context = tuple(_texts(example)) if kind == "in_context" else ()
            answered = engine.ask(asked_text(example.task), config.forced, context=context)
            rights[kind].append(score(answered.text, example)["em"])
            unknowns[kind].append(float(answered.text.strip().lower() == UNKNOWN))
            spent[kind].append(answered.seconds_s)
            engine.close()
        lesson = make_lesson(
            example, examples, Random(f"{seed}/{example.task.id}"), most_evidence=3, without_gold=0
        )
        judge = told(example)
        for claim in lesson.claims:
            verdict = judge.judged(lesson.question, claim.evidence, claim.answer)
            scores.append(verdict.probability.item())
            truths.append(claim.is_right)
        judge.close()
    figures: dict[str, float] = {"n": n}
    for kind in _KINDS:
        for name, found in (("em", rights[kind]), ("unknown", unknowns[kind])):
            share = share_interval(found)
            figures[f"{kind}_{name}"] = 100 * share.mean
            figures[f"{kind}_{name}_low"] = 100 * share.low
            figures[f"{kind}_{name}_high"] = 100 * share.high
        figures[f"{kind}_s"] = mean(spent[kind])
    untold = unknowns["never_told"] + unknowns["nothing_told"]
    figures["hallucinated"] = 100 * (1 - mean(untold))
    figures["critic_auroc"] = auroc(scores, truths)
    figures["critic_ece"] = calibration_error(scores, truths)
    return show_figures(figures, out)


def _texts(example: Example) -> Iterator[str]:
    return (titled(one.title, one.text) for one in example.task.context)
