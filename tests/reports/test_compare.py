import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.records import RecordWriter
from pmi_kernel.engines.scripted import ScriptedEngine
from pmi_kernel.reports.compare import compare, results_frame
from pmi_kernel.reports.intervals import bootstrap, mcnemar, share_interval
from pmi_kernel.reports.positions import by_position
from pmi_kernel.reports.summary import render_summary
from pmi_kernel.runs import RunSettings, read_results, run
from pmi_kernel.systems import open_system
from pmi_kernel.systems.baselines.config import ClosedBookConfig, InContextConfig
from pmi_kernel.systems.lexical.config import LexicalConfig


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A closed-book run, and an in-context run of which every third answer is right."""
    root = tmp_path_factory.mktemp("runs")
    for name, config in (("closed", ClosedBookConfig()), ("context", InContextConfig())):
        system = open_system(config, ScriptedEngine())
        run(RunSettings(out=root / name, limit=30), config, system=system)
    results = read_results(root / "context")
    (root / "context" / "eval_results.jsonl").unlink()
    with RecordWriter(root / "context" / "eval_results.jsonl") as writer:
        for place, result in enumerate(results.values()):
            right = place % 3 == 0
            writer.write(replace(result, scores=dict.fromkeys(result.scores, float(right))))
    return root / "closed", root / "context"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_an_interval_holds_the_mean(values: list[float]) -> None:
    interval = bootstrap(values)
    assert interval.low - 1e-9 <= interval.mean <= interval.high + 1e-9
    assert math.isclose(interval.mean, sum(values) / len(values), abs_tol=1e-12)


def test_the_interval_of_a_share_is_the_binomials() -> None:
    interval = bootstrap([1.0] * 30 + [0.0] * 70)
    error = 1.96 * math.sqrt(0.3 * 0.7 / 100)
    assert interval.low == pytest.approx(0.3 - error, abs=0.02)
    assert interval.high == pytest.approx(0.3 + error, abs=0.02)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"), [(6, 6, 0.610, 1.0), (0, 10, 0.0, 0.278), (22, 24, 0.742, 0.977)]
)
def test_few_shares_are_no_certainty(right: int, n: int, low: float, high: float) -> None:
    interval = share_interval([1.0] * right + [0.0] * (n - right))
    assert (interval.mean, interval.n) == (right / n, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.001)


def test_the_interval_of_a_mean_of_fractions_is_the_bootstraps() -> None:
    assert share_interval([0.5, 0.25, 1.0]) == bootstrap([0.5, 0.25, 1.0])


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (1, 9, 0.021484375), (10, 2, 0.03857421875)],
)
def test_mcnemars_exact_p(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p)
    assert mcnemar(second, first) == pytest.approx(p)


def test_runs_are_paired_by_episode(runs: tuple[Path, Path]) -> None:
    comparison = compare(runs)
    closed, context = comparison.runs
    assert closed.num_episodes == context.num_episodes == 30
    assert context.f1.mean == pytest.approx(1 / 3)
    (difference,) = comparison.differences
    assert len(difference.wins) == 10
    assert difference.losses == ()
    assert difference.mcnemar_p == pytest.approx(2 / 2**10)
    assert difference.f1.low > 0
    assert comparison.frame()["wins"].tolist()[1] == 10


def test_only_common_episodes_count(runs: tuple[Path, Path], tmp_path: Path) -> None:
    config = ClosedBookConfig()
    settings = RunSettings(out=tmp_path / "short", limit=5)
    run(settings, config, system=open_system(config, ScriptedEngine()))
    comparison = compare([*runs, tmp_path / "short"])
    assert {scores.num_episodes for scores in comparison.runs} == {5}
    assert comparison.num_left_out == 25


def test_different_data_is_refused_unless_told(runs: tuple[Path, Path], tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    with pytest.raises(SystemExit):
        main(["data", "synth", "--n", "60", "--seed", "7", "--out", str(data)])
    config = ClosedBookConfig()
    settings = RunSettings(data=str(data), out=tmp_path / "other", limit=5)
    run(settings, config, system=open_system(config, ScriptedEngine()))
    with pytest.raises(ConfigError, match="different data"):
        compare([runs[0], tmp_path / "other"])
    assert compare([runs[0], tmp_path / "other"], is_forced=True).runs[0].num_episodes == 5


def test_a_run_without_results_is_told(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results"):
        compare([runs[0], tmp_path], is_forced=True)


def test_the_table_is_written_in_every_format(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "latex", "html")}
    words = [word for kind, path in targets.items() for word in (f"--{kind}", str(path))]
    with pytest.raises(SystemExit) as end:
        main(["compare", *map(str, runs), *words])
    assert end.value.code == 0
    assert "33.3 [" in capsys.readouterr().out
    assert targets["csv"].read_text().splitlines()[0].startswith("run,system,n,EM")
    assert r"\begin{tabular}" in targets["latex"].read_text()
    page = targets["html"].read_text()
    assert "33.3 [" in page
    assert "<script" not in page


def test_results_become_a_table(runs: tuple[Path, Path]) -> None:
    frame = results_frame(read_results(runs[1]).values())
    assert len(frame) == 30
    assert frame["f1"].sum() == 10
    assert {"end_reason", "act_s", "retrieve_s"} <= set(frame.columns)
    assert "costs" not in frame.columns


def test_runs_are_listed_with_their_scores(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["runs", str(runs[0].parent)])
    out = capsys.readouterr().out
    record = json.loads((runs[0] / "config.json").read_text())
    assert "closed_book" in out
    assert "in_context" in out
    assert record["data"]["sha256"][:8] in out


def test_the_grid_runs_its_arms_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "grid",
        "--engine",
        "scripted",
        "--out",
        str(tmp_path / "grid"),
        "--questions",
        "6",
        "--yes",
    ]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    out = capsys.readouterr().out
    for arm in ("closed_book", "in_context", "injected", "injected_and_context", "wrong_passage"):
        assert (tmp_path / "grid" / arm / "summary.json").exists()
        assert arm in out
    assert "Share of the F1 gap" in out
    (tmp_path / "grid" / "wrong_passage" / "eval_results.jsonl").unlink()
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    summary = json.loads((tmp_path / "grid" / "wrong_passage" / "summary.json").read_text())
    assert summary["num_episodes"] == 6
    assert summary["wrong_passage"]


def labelled(path: Path, *answers: str) -> Path:
    lines = [
        {"question": f"Is {n} even?", "answer": answer, "state": "", "statutes": [["T", "Text."]]}
        for n, answer in enumerate(answers)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_labels_have_accuracy_and_macro_f1_in_the_summary_and_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = labelled(tmp_path / "housing.jsonl", "Yes", "Yes", "No")
    system = open_system(InContextConfig(), ScriptedEngine(lambda p, a: "<answer>Yes.</answer>"))
    outcome = run(RunSettings(data=str(data), out=tmp_path / "run"), system.config, system=system)
    # yes: 2 right of 2 gold and 3 said, 4/5; no: none of 1.
    assert outcome.summary["accuracy"] == outcome.summary["em"] == pytest.approx(2 / 3)
    assert outcome.summary["macro_f1"] == pytest.approx(0.4)
    assert outcome.summary["metrics"] == {"labels": 3}
    told = render_summary(outcome.summary, tmp_path)
    assert "accuracy 66.7  macro-F1 40.0  (percent; official metric: labels)" in told
    (scores,) = compare([tmp_path / "run"]).runs
    assert scores.own["accuracy"].mean == pytest.approx(2 / 3)
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "run"), "--csv", str(tmp_path / "t.csv")])
    header, row = capsys.readouterr().out.splitlines()[::2][:2]
    assert "macro-F1" in header
    assert "40.0" in row
    assert "accuracy low" in (tmp_path / "t.csv").read_text().splitlines()[0]


def test_the_authors_table_has_two_decimals_and_the_mean_over_sets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free = tmp_path / "popqa.jsonl"
    free.write_text(
        '{"question": "Q?", "answer": ["one two three", "x"]}\n{"question": "R?", "answer": "y"}\n'
        '{"question": "S?", "answer": "one"}\n',
        encoding="utf-8",
    )
    house = labelled(tmp_path / "housing.jsonl", "Yes", "No", "No")
    for data, said in ((free, "one two"), (house, "no")):
        engine = ScriptedEngine(lambda p, a, said=said: f"<answer>{said}</answer>")
        system = open_system(ClosedBookConfig(), engine)
        run(RunSettings(data=str(data), out=tmp_path / data.stem), system.config, system=system)
    with pytest.raises(SystemExit) as caught:
        main(["compare", *(str(tmp_path / n) for n in ("popqa", "housing")), "--style", "regrad"])
    assert caught.value.code == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["run", "data", "n", "em", "f1", "prec", "recall"]
    # F1 of the three: 2 * 1 * 2/3 / (5/3) = 4/5, 0, and 2/3; precision 1, 0, 1/2; recall 2/3, 0, 1.
    assert rows[2] == ["popqa", "popqa.jsonl", "3", "0.00", "48.89", "50.00", "55.56"]
    assert rows[3] == ["housing", "housing.jsonl", "3", *["66.67"] * 4]
    assert rows[4] == ["mean", "33.34", "57.78", "58.34", "61.12"]  # (0 + 66.67) / 2 is 33.335


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs of two retrievers over the same documents, the gold ones first and last."""
    root, runs = tmp_path_factory.mktemp("placed"), []
    for place in (0, 4):
        for retriever in ("overlap", "bm25"):
            config = LexicalConfig(retriever=retriever, topk=1)
            out = root / f"{retriever}{place}"
            data = f"placed:6@{place}:first:6:sample"
            run(RunSettings(out=out, data=data), config, system=open_system(config))
            runs.append(out)
    return runs


def test_answers_stand_side_by_side_by_the_place_of_the_gold_document(placed: list[Path]) -> None:
    found = by_position(placed)
    assert [(one.name, one.num_documents, one.gold_position) for one in found.points] == [
        ("lexical, retriever bm25", 6, 0),
        ("lexical, retriever bm25", 6, 4),
        ("lexical, retriever overlap", 6, 0),
        ("lexical, retriever overlap", 6, 4),
    ]
    assert found.num_unplaced == 0
    assert {one.scores["em"].n for one in found.points} == {6}
    results = read_results(placed[0])
    share = sum(one.scores["em"] for one in results.values()) / 6
    assert found.points[2].scores["em"].mean == pytest.approx(share)


def test_the_curve_is_a_page_a_table_and_a_file(
    placed: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html, csv = tmp_path / "curve.html", tmp_path / "curve.csv"
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--by", "gold_position", *map(str, placed), "--html", str(html),
              "--csv", str(csv)])  # fmt: skip
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "gold at" in printed
    assert len(csv.read_text().splitlines()) == 5
    assert "plotly" in html.read_text()


def test_results_without_a_gold_document_are_counted(tmp_path: Path, placed: list[Path]) -> None:
    config = LexicalConfig()
    out = tmp_path / "shifted"
    run(RunSettings(out=out, data="shift:first:4:sample"), config, system=open_system(config))
    with pytest.raises(DataError, match="none of 4 results"):
        by_position([out])
    both = by_position([*placed, out])
    assert both.num_unplaced == 4
    assert "4 results have no gold document" in both.table().caption
