"""The official HotpotQA answer metrics (Yang et al. 2018; hotpot_evaluate_v1.py), and sub-span EM.

They differ from plain SQuAD in one rule: when either side is yes, no or noanswer and the two
differ, F1, precision and recall are zero.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_CLOSED = frozenset({"yes", "no", "noanswer"})
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """Scores of one prediction, each in [0, 1]; `em` and `sub_em` are 0 or 1."""

    em: float
    f1: float
    precision: float
    recall: float
    sub_em: float


def normalize_answer(text: str) -> str:
    """Return the text in lower case, without ASCII punctuation, articles and extra blanks."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def score_answer(prediction: str, answers: Sequence[str]) -> AnswerScore:
    """Return the scores of a prediction against the accepted answers.

    With several answers, EM and sub-span EM hold if any answer gives them, and F1, precision and
    recall are those of the answer with the best F1 (the first of equals).

    Raises:
        ValueError: There is no answer to compare with.
    """
    if not answers:
        raise ValueError("score_answer needs at least one accepted answer")
    predicted = normalize_answer(prediction)
    golds = [normalize_answer(answer) for answer in answers]
    f1, precision, recall = max((_overlap(predicted, gold) for gold in golds), key=lambda s: s[0])
    return AnswerScore(
        em=float(predicted in golds),
        f1=f1,
        precision=precision,
        recall=recall,
        sub_em=float(any(f" {gold} " in f" {predicted} " for gold in golds)),
    )


def _overlap(predicted: str, gold: str) -> tuple[float, float, float]:
    """Token F1, precision and recall of two normalised texts, with the rule of yes and no."""
    if predicted != gold and (predicted in _CLOSED or gold in _CLOSED):
        return 0.0, 0.0, 0.0
    return token_overlap(predicted, gold)


def token_overlap(predicted: str, gold: str) -> tuple[float, float, float]:
    """Return token F1, precision and recall of two normalised texts, each in [0, 1]."""
    predicted_tokens, gold_tokens = predicted.split(), gold.split()
    num_same = (Counter(predicted_tokens) & Counter(gold_tokens)).total()
    if num_same == 0:
        return 0.0, 0.0, 0.0
    precision, recall = num_same / len(predicted_tokens), num_same / len(gold_tokens)
    return 2 * precision * recall / (precision + recall), precision, recall
