"""Each set's metric against values that were worked out by hand or by the official script."""

import json
from pathlib import Path

import pytest

from pmi_kernel.core.answers import FREE, AnswerForm, AnswerKind
from pmi_kernel.core.scoring import METRICS, macro_f1, score
from pmi_kernel.core.task import Example, Gold, Task

CHOICE = AnswerForm(AnswerKind.CHOICE, ("ferritin", "heparin", "heparin", "insulin"))


def of(metric: str, *answers: str, form: AnswerForm = FREE) -> Example:
    return Example(Task("id", "Q?", form=form), Gold(answers), metric=metric)


@pytest.mark.parametrize(
    ("metric", "answers", "prediction", "name", "value"),
    [
        # HotpotQA: F1 is 0 where one side is yes, no or noanswer and they differ.
        ("hotpotqa", ["yes"], "yes it is", "f1", 0),
        ("hotpotqa", ["the Eiffel Tower"], "Eiffel tower, Paris", "f1", 0.8),
        ("hotpotqa", ["the Eiffel Tower"], "Eiffel tower, Paris", "precision", 2 / 3),
        # Two answers, F1 2/3 (precision 1/2, recall 1) and 1/2 (precision 1/4... of "x y"): the
        # scores are those of the better.
        ("hotpotqa", ["a b", "c d e"], "c d x y", "recall", 2 / 3),
        # 2Wiki takes each score's best: precision 1/2 of both, recall 1 of the first alone.
        ("2wikimultihopqa", ["b", "c d e"], "b c d x", "precision", 0.5),
        ("2wikimultihopqa", ["b", "c d e"], "b c d x", "recall", 1),
        ("2wikimultihopqa", ["b", "c d e"], "b c d x", "f1", 4 / 7),
        ("2wikimultihopqa", ["Persian", "Iran"], "iran", "em", 1),
        # MuSiQue's is SQuAD's: yes and no are words like others, and nothing equals nothing.
        ("musique", ["yes"], "yes it is", "f1", 0.5),
        ("musique", ["yes"], "yes it is", "precision", 1 / 3),
        ("musique", ["the"], "a", "f1", 1),
        ("musique", ["the"], "b", "f1", 0),
        ("musique", ["b"], "", "f1", 0),
        ("musique", ["x", "North Sea"], "the north sea coast", "f1", 0.8),
        # PopQA: an alias, as it is, in lower case or capitalised, anywhere in the prediction.
        ("popqa", ["actor"], "He is an Actor and singer", "accuracy", 1),
        ("popqa", ["Politician"], "politicians", "accuracy", 1),
        ("popqa", ["New York"], "new york city", "accuracy", 1),
        ("popqa", ["New York"], "NEW YORK", "accuracy", 0),
        ("popqa", ["rock", "jazz"], "punk", "accuracy", 0),
        # Lost in the Middle: a normalised answer within the first line, inside words too.
        ("nq_lim", ["14 December 1972"], "On 14 December, 1972.", "subspan_em", 1),
        ("nq_lim", ["art"], "Parties", "subspan_em", 1),
        ("nq_lim", ["Paris"], "London\nParis", "subspan_em", 0),
        ("nq_lim", ["the Wizard", "Oz"], "wizard of emeralds", "subspan_em", 1),
    ],
)
def test_a_score_is_what_the_official_script_gives(
    metric: str, answers: list[str], prediction: str, name: str, value: float
) -> None:
    assert score(prediction, of(metric, *answers))[name] == pytest.approx(value)


@pytest.mark.parametrize(
    ("form", "gold", "prediction", "value"),
    [
        (AnswerForm(AnswerKind.YES_NO), "no", "No", 1),
        (AnswerForm(AnswerKind.YES_NO), "no", "yes", 0),
        (AnswerForm(AnswerKind.YES_NO), "no", "unknown", 0),
        (AnswerForm(AnswerKind.YES_NO_MAYBE), "maybe", "maybe", 1),
        (CHOICE, "insulin", "D. insulin", 1),
        (CHOICE, "insulin", "(d)", 1),
        (CHOICE, "insulin", "insulin", 1),
        (CHOICE, "insulin", "A. ferritin", 0),
        (CHOICE, "insulin", "the insulin", 0),
        (CHOICE, "heparin", "B", 1),  # two options of one text are both right
        (CHOICE, "heparin", "C", 1),
    ],
)
def test_a_label_and_a_choice_are_right_or_wrong(
    form: AnswerForm, gold: str, prediction: str, value: float
) -> None:
    scores = score(prediction, of("labels", gold, form=form))
    assert set(scores.values()) == {value}
    assert scores.keys() >= {"accuracy", "em", "f1", "precision", "recall", "sub_em"}


def test_macro_f1_is_the_mean_over_labels() -> None:
    # yes: 1 right of 2 gold and 2 said, 2/4; no: 1 of 1 and 2, 2/3; maybe: none of 1, 0.
    pairs = [("yes", "yes"), ("yes", "no"), ("no", "no"), ("maybe", "yes")]
    assert macro_f1(pairs) == pytest.approx((1 / 2 + 2 / 3) / 3)
    # A label that is only said counts (0 of 0 and 1); what is none is a miss alone.
    assert macro_f1([("yes", "yes"), ("yes", "maybe")]) == pytest.approx((2 / 3 + 0) / 2)
    assert macro_f1([("yes", "yes"), ("yes", "unknown")]) == pytest.approx(2 / 3)
    assert macro_f1([]) is None


def test_squads_f1_of_500_real_predictions_is_the_known_one(shared_data: Path) -> None:
    rows = json.loads((shared_data / "oracle" / "hotpot_official_scores_500.json").read_text())
    scored = [
        (score(row["prediction"], of(metric, row["gold"])), row)
        for row in rows.values()
        for metric in ("hotpotqa", "2wikimultihopqa", "musique")
    ]
    assert len(scored) == 1500
    for place, (found, row) in enumerate(scored):
        assert found["em"] == row["em"]
        if place % 3 < 2:
            assert found["f1"] == pytest.approx(row["f1"], abs=1e-6)
            assert found["precision"] == pytest.approx(row["prec"], abs=1e-6)
            assert found["recall"] == pytest.approx(row["recall"], abs=1e-6)
    squad = sum(found["f1"] for found, _ in scored[2::3]) / 500
    assert squad == pytest.approx(0.3685, abs=5e-5)


def test_every_metric_has_a_source_and_the_scores_that_tables_show() -> None:
    for name, metric in METRICS.items():
        found = score("x", of(name, "y"))
        assert found.keys() >= {"em", "f1", "precision", "recall", "sub_em"}
        assert metric.own in ("", *found)
        assert metric.source
