"""The official metric of each data set: its source, and the scores of one answer by it.

Each gives EM and F1 with its precision and recall, so that sets of any kind have a row in one
table, and its own score beside them where it has one of another name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from pmi_kernel.core.answers import AnswerForm, AnswerKind
from pmi_kernel.core.metrics import AnswerScore, normalize_answer, score_answer, token_overlap
from pmi_kernel.core.result import EvalResult
from pmi_kernel.core.task import Example

Score = Callable[[str, Example], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One official metric.

    Attributes:
        name: What it is called.
        source: The script or paper that defines it.
        own: The score that it is named by where that is neither EM nor F1; else empty.
        score: Returns one prediction's scores, each in [0, 1].
    """

    name: str
    source: str
    own: str
    score: Score


def score(prediction: str, example: Example) -> dict[str, float]:
    """Return the scores of a prediction by the example's official metric, each in [0, 1].

    `em`, `f1`, `precision`, `recall`, `sub_em` (whether a normalised answer stands within the
    prediction in whole words), and the metric's own score where it has one.
    """
    return dict(METRICS[example.metric].score(prediction, example))


def macro_f1(pairs: Iterable[tuple[str, str]]) -> float | None:
    """Return the mean of the labels' F1, in [0, 1], of (gold, predicted) pairs; None of no pair.

    As `sklearn.metrics.f1_score(average="macro")`, by which PubMedQA is scored, over the labels
    that are gold or predicted somewhere; but what is no label (an answer that could not be read) is
    a miss of the gold label, and no label of its own.
    """
    pairs = [(gold, _ANY_LABEL.read(said) or said) for gold, said in pairs]
    golds = {gold for gold, _ in pairs}
    labels = golds | {said for _, said in pairs if said in _ANY_LABEL.allowed}
    found = []
    for label in labels:
        hits = sum(gold == said == label for gold, said in pairs)
        total = sum(gold == label for gold, _ in pairs) + sum(said == label for _, said in pairs)
        found.append(2 * hits / total)
    return sum(found) / len(found) if found else None


def is_labelled(result: EvalResult) -> bool:
    """Whether an answer is scored as a label, and not as one of some options."""
    return result.metric == "labels" and result.answers[0] in _ANY_LABEL.allowed


_ANY_LABEL = AnswerForm(AnswerKind.YES_NO_MAYBE)


def _hotpotqa(prediction: str, example: Example) -> Mapping[str, float]:
    return asdict(score_answer(prediction, example.gold.answers))


def _two_wiki(prediction: str, example: Example) -> Mapping[str, float]:
    each = [score_answer(prediction, (answer,)) for answer in example.gold.answers]
    return {name: max(asdict(one)[name] for one in each) for name in AnswerScore.__slots__}


def _musique(prediction: str, example: Example) -> Mapping[str, float]:
    predicted = normalize_answer(prediction)
    golds = (normalize_answer(answer) for answer in example.gold.answers)
    f1, precision, recall = max(_squad(predicted, gold) for gold in golds)
    plain = score_answer(prediction, example.gold.answers)
    return asdict(replace(plain, f1=f1, precision=precision, recall=recall))


def _squad(predicted: str, gold: str) -> tuple[float, float, float]:
    """SQuAD's F1 with precision and recall: 1 where neither side has a word."""
    if not predicted or not gold:
        same = float(predicted == gold)
        return same, same, same
    return token_overlap(predicted, gold)


def _popqa(prediction: str, example: Example) -> Mapping[str, float]:
    is_in = any(
        form in prediction
        for answer in example.gold.answers
        for form in (answer, answer.lower(), answer.capitalize())
    )
    return {**_hotpotqa(prediction, example), "accuracy": float(is_in)}


def _nq_lim(prediction: str, example: Example) -> Mapping[str, float]:
    line = normalize_answer(prediction.strip().split("\n")[0])
    is_in = any(normalize_answer(answer) in line for answer in example.gold.answers)
    return {**_hotpotqa(prediction, example), "subspan_em": float(is_in)}


def _labels(prediction: str, example: Example) -> Mapping[str, float]:
    form = example.task.form
    told = form.read(prediction)
    # Two options of one text are both right.
    right = float(told is not None and form.bare(told) == example.gold.answers[0])
    return dict.fromkeys((*AnswerScore.__slots__, "accuracy"), right)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "hotpotqa",
            "hotpot_evaluate_v1.py (Yang et al. 2018); of several answers the one of best F1",
            "",
            _hotpotqa,
        ),
        Metric(
            "2wikimultihopqa",
            "2wikimultihop_evaluate_v1.1.py (Ho et al. 2020): each score's best over the aliases",
            "",
            _two_wiki,
        ),
        Metric(
            "musique",
            "metrics/answer.py of MuSiQue (Trivedi et al. 2022): SQuAD's, best over the aliases",
            "",
            _musique,
        ),
        Metric(
            "popqa",
            "run_model.py of adaptive-retrieval (Mallen et al. 2023): an alias in the prediction",
            "accuracy",
            _popqa,
        ),
        Metric(
            "nq_lim",
            "best_subspan_em of lost-in-the-middle (Liu et al. 2023), on the first line",
            "subspan_em",
            _nq_lim,
        ),
        Metric(
            "labels",
            "accuracy of the label or letter; macro-F1 over a run as PubMedQA's evaluation.py "
            "(Jin et al. 2019); EM, F1, precision and recall are the accuracy",
            "accuracy",
            _labels,
        ),
    )
}
"""Every official metric by name."""
