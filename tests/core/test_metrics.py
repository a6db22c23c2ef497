import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmi_kernel.core.metrics import normalize_answer, score_answer

ANSWERS = st.text(alphabet="abthe yn o1,.'-É ", max_size=20)


def test_every_official_score_is_reproduced(shared_data: Path) -> None:
    rows = json.loads((shared_data / "oracle" / "hotpot_official_scores_500.json").read_text())
    assert len(rows) == 500
    for row in rows.values():
        score = score_answer(row["prediction"], [row["gold"]])
        # The file holds six decimals.
        assert score.em == row["em"]
        assert round(score.f1, 6) == pytest.approx(row["f1"], abs=1e-9)
        assert round(score.precision, 6) == pytest.approx(row["prec"], abs=1e-9)
        assert round(score.recall, 6) == pytest.approx(row["recall"], abs=1e-9)


@pytest.mark.parametrize(
    ("prediction", "gold", "em", "f1"),
    [
        ("The Eiffel Tower", "eiffel tower", 1, 1),
        ("Greenwich Village", "Greenwich Village, New York City", 0, 4 / 7),
        ("yes", "yes", 1, 1),
        ("yes it is", "yes", 0, 0),
        ("no", "yes", 0, 0),
        ("noanswer", "Paris", 0, 0),
        ("", "Paris", 0, 0),
    ],
)
def test_known_scores(prediction: str, gold: str, em: float, f1: float) -> None:
    score = score_answer(prediction, [gold])
    assert (score.em, score.f1) == (em, pytest.approx(f1))


def test_sub_span_needs_whole_words() -> None:
    assert score_answer("It was in Paris, France", ["Paris"]).sub_em == 1
    assert score_answer("Parisian", ["Paris"]).sub_em == 0


def test_without_an_answer_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="at least one"):
        score_answer("x", [])


@given(ANSWERS, ANSWERS)
def test_f1_is_symmetric_and_bounded(a: str, b: str) -> None:
    one, two = score_answer(a, [b]), score_answer(b, [a])
    assert one.f1 == pytest.approx(two.f1)
    assert one.precision == pytest.approx(two.recall)
    assert 0 <= one.f1 <= 1


@given(ANSWERS, st.lists(ANSWERS, min_size=1, max_size=4), ANSWERS)
def test_another_gold_never_lowers_a_score(prediction: str, golds: list[str], more: str) -> None:
    fewer, all_ = score_answer(prediction, golds), score_answer(prediction, [*golds, more])
    assert all_.f1 >= fewer.f1
    assert all_.em >= fewer.em
    assert all_.sub_em >= fewer.sub_em


@given(ANSWERS)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize_answer(normalize_answer(text)) == normalize_answer(text)


@given(ANSWERS, ANSWERS)
def test_f1_agrees_with_its_definition(a: str, b: str) -> None:
    p, g = normalize_answer(a).split(), normalize_answer(b).split()
    same = sum(min(n, Counter(g)[word]) for word, n in Counter(p).items())
    closed = {"yes", "no", "noanswer"}
    joined = (" ".join(p), " ".join(g))
    is_barred = joined[0] != joined[1] and not closed.isdisjoint(joined)
    expected = 0.0 if not same or is_barred else 2 * same / (len(p) + len(g))
    assert score_answer(a, [b]).f1 == pytest.approx(expected, abs=1e-12)
