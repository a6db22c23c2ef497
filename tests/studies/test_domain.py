"""A domain's data sets by the authors' flags: gradients taken ahead, inference, one JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.metrics import score_answer

SETS = ("hotpotqa", "popqa")


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PMI_CACHE", str(tmp_path / "cache"))
    for name in SETS:
        path = tmp_path / "data_aug" / name / "dev.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps([record(name, number) for number in range(3)]))


def record(name: str, number: int) -> dict[str, Any]:
    return {
        "test_id": number,
        "question": f"Who wrote book {number} of {name}?",
        "answer": [f"Author {number}", "the"],
        "passages": [f"Book {number} of {name} was written by Author {n}." for n in range(4)],
    }


def pmi(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    return int(str(ended.value.code))


def inference(trained: Path, *more: str) -> list[str]:
    words = ["--model_path", str(trained), "--offline_dir", "offline/demo/top2"]
    words += ["--grad_file", "dev.pt", "--dev_set_name", "dev", "--domain", "general"]
    words += ["--prediction_file", "results/demo.json", "--num_samples_for_eval", "2"]
    return [*words, "--topk", "2", "--gamma", "1", "--sets", *SETS, *more]


def encoding(trained: Path, name: str) -> list[str]:
    words = ["regrad", "encode", "--dataset", name, "--file_name", "dev", "--model_path"]
    words += [str(trained), "--output_dir", "demo", "--topk", "2", "--start", "0", "--end", "2"]
    return [*words, "--mixed", "0.0", "--output_file", "dev"]


def first_trace(name: str) -> dict[str, Any]:
    lines = Path("results/demo", name, "episode_trace.jsonl").read_bytes().splitlines()
    trace: dict[str, Any] = json.loads(lines[0])
    return trace


@pytest.mark.parametrize("verb", [("run", "--system", "regrad"), ("regrad", "infer")])
def test_their_two_commands_work_as_they_stand(
    trained: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    for name in SETS:
        assert pmi(*encoding(trained, name)) == 0
        assert list(Path("offline/demo/top2", name, "dev").glob("*.safetensors"))
        assert "4 passages: 0 were there, 4 taken" in capsys.readouterr().out
    assert pmi(*verb, *inference(trained, "--blind_context")) == 0
    shown = capsys.readouterr().out
    told = json.loads(Path("results/demo.json").read_bytes())
    assert list(told) == ["predictions", "scores"]
    assert list(told["scores"]) == ["hotpot", "popqa", "em", "f1", "prec", "recall"]
    for label, name in (("hotpot", "hotpotqa"), ("popqa", "popqa")):
        answers = told["predictions"][label]["answer"]
        assert list(answers) == ["0", "1"]
        scored = [
            score_answer(answers[str(n)], tuple(record(name, n)["answer"])).f1 for n in range(2)
        ]
        assert told["scores"][label]["f1"] == round(100 * sum(scored) / 2, 2)
        trace = first_trace(name)
        (taken,) = [step for step in trace["steps"] if step["kind"] == "gradients"]
        assert taken["measures"]["gradients_found"] == 2
    both = [told["scores"][label]["f1"] for label in ("hotpot", "popqa")]
    assert told["scores"]["f1"] == pytest.approx(sum(both) / 2, abs=1e-6)
    assert "written to results/demo.json" in shown
    assert "mean" in shown


def test_without_gradients_or_a_file_it_says_what_makes_them(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pmi("regrad", "infer", *inference(trained)) == 2
    assert "pmi regrad encode --dataset hotpotqa" in capsys.readouterr().err
    words = inference(trained)
    assert pmi("regrad", "infer", *words[: words.index("--sets")]) == 2
    shown = capsys.readouterr().err
    assert "data_aug/2wikimultihopqa/dev.json is not there" in shown
    assert "pmi data augment --dataset 2wikimultihopqa" in shown
    assert pmi("regrad", "infer", "--sets", "medqa") == 2
    assert "'medqa' is none of general" in capsys.readouterr().err
    assert pmi("regrad", "encode") == 2
    assert "name a set, or an index" in capsys.readouterr().err


def test_the_base_model_with_its_passages_needs_no_gradients(trained: Path) -> None:
    assert pmi("regrad", "infer", *inference(trained, "--icl", "--shift")) == 0
    trace = first_trace("popqa")
    assert [step["kind"] for step in trace["steps"]] == ["search", "answer"]
    assert "Book 1 of popqa" in trace["steps"][0]["passages"][0]["text"]  # the last one's


def test_a_set_whose_answers_are_labels_is_asked_for_labels(trained: Path) -> None:
    rows = [
        record("housingqa", number) | {"answer": ["yes", "no"][number % 2]} for number in (0, 1)
    ]
    path = Path("data_aug/housingqa/dev.json")
    path.parent.mkdir()
    path.write_text(json.dumps(rows), encoding="utf-8")
    words = ["--model_path", str(trained), "--domain", "law", "--sets", "housingqa"]
    words += ["--prediction_file", "results/law.json", "--action_decoding", "guided"]
    assert pmi("regrad", "infer", *words) == 0
    told = json.loads(Path("results/law.json").read_bytes())
    answers = told["predictions"]["housingqa"]["answer"]
    assert set(answers.values()) <= {"yes", "no"}
    right = [answers[str(number)] == row["answer"] for number, row in enumerate(rows)]
    assert told["scores"]["housingqa"]["em"] == told["scores"]["em"] == 50 * sum(right)
