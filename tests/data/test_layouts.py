"""Every layout: real files, worlds written in it and read back, what it is recognised by."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.answers import AnswerKind
from pmi_kernel.core.errors import DataError
from pmi_kernel.data import data_hash, load_data, load_examples, resolve_source, write_examples
from pmi_kernel.data.check import describe
from pmi_kernel.data.layouts import LAYOUTS
from pmi_kernel.data.sets import SETS

FREE, CHOICE = AnswerKind.FREE, AnswerKind.CHOICE
YES_NO, MAYBE = AnswerKind.YES_NO, AnswerKind.YES_NO_MAYBE

REAL = [
    ("hotpotqa/hotpot_train_sample_100.json", 100, "hotpotqa", "hotpotqa", FREE),
    ("2wikimultihopqa/dev.json", 600, "augmented", "hotpotqa", FREE),
    ("complexwebquestions/dev.json", 600, "augmented", "hotpotqa", FREE),
    ("popqa/popQA.tsv", 800, "popqa", "popqa", FREE),
    ("musique/musique_ans_train_sample.jsonl", 100, "musique", "musique", FREE),
    ("nq/nq-open-oracle.jsonl.gz", 2155, "nq_lim", "nq_lim", FREE),
    ("pubmedqa/ori_pqal.json", 700, "pubmedqa", "labels", MAYBE),
    ("medqa/test.jsonl", 873, "medqa", "labels", CHOICE),
    ("housingqa/dev.jsonl", 556, "housingqa", "labels", YES_NO),
]
"""File, questions, layout, metric, answer kind."""

WORLD = "world:hops=1,n=24,paragraphs=5"


def suffix(layout: str) -> str:
    return LAYOUTS[layout].suffix


def lines(path: Path, *records: object) -> Path:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "count", "layout", "metric", "kind"), REAL)
def test_a_real_set_is_read(
    shared_data: Path, name: str, count: int, layout: str, metric: str, kind: AnswerKind
) -> None:
    data, report = load_data(shared_data / name), describe(shared_data / name)
    assert (len(data.examples), report.layout) == (count, layout)
    assert (report.metrics, report.forms) == ({metric: count}, {kind: count})
    assert report.problems == report.twice == ()
    assert report.sha256 == data.sha256
    assert len(set(data.examples.ids)) == count
    assert list(data.examples) == load_examples(shared_data / name)


def test_what_the_real_sets_say(shared_data: Path) -> None:
    popqa = load_examples(shared_data / "popqa" / "popQA.tsv")[0]
    assert popqa.gold.answers[:2] == ("Belfast", "Béal Feirste")
    musique = load_examples(shared_data / "musique" / "musique_ans_train_sample.jsonl")[0]
    assert musique.gold.answers == ("G. Stanley Hall", "Stanley Hall")
    assert len(musique.task.context) == 20
    assert musique.type == "2hop"
    assert len({fact.title for fact in musique.gold.supporting_facts}) == 2
    medqa = load_examples(shared_data / "medqa" / "test.jsonl")[0].task.form
    assert medqa.allowed[1] == "B. Bladder catheterization"
    nq = load_examples(shared_data / "nq" / "nq-open-oracle.jsonl.gz")[0]
    assert nq.gold.supporting_facts[0].title == nq.task.context[0].title
    decisions = Counter(
        one.gold.answers[0] for one in load_examples(shared_data / "pubmedqa" / "ori_pqal.json")
    )
    assert decisions == {"yes": 383, "no": 242, "maybe": 75}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_world_is_written_in_any_layout_and_read_again(
    tmp_path: Path, layout: str, is_zipped: bool
) -> None:
    path = tmp_path / f"world{suffix(layout)}{'.gz' if is_zipped else ''}"
    worlds = load_examples(WORLD)
    write_examples(worlds, path, layout)
    read, data = load_examples(path), load_data(path)
    assert describe(path).layout == layout
    assert list(data.examples) == read
    assert len({one.task.id for one in read}) == len(worlds)
    for one, world in zip(read, worlds, strict=True):
        assert one.task.form.kind in LAYOUTS[layout].kinds
        assert one.task.question.startswith(world.task.question)
        if one.task.form.kind is FREE:
            assert one.gold.answers == world.gold.answers
        if one.task.form.kind is CHOICE:
            assert one.gold.answers[0] in one.task.form.options
            assert one.gold.answers == world.gold.answers
        if one.task.context:
            texts = [paragraph.text for paragraph in one.task.context]
            assert all(p.text in t for p, t in zip(world.task.context, texts, strict=True))
    again = tmp_path / f"again{path.name.removeprefix('world')}"
    write_examples(read, again, layout)
    assert load_examples(again) == read


def test_our_own_layout_loses_nothing(tmp_path: Path, shared_data: Path) -> None:
    for name in ("medqa/test.jsonl", "pubmedqa/ori_pqal.json", "popqa/popQA.tsv"):
        examples = load_examples(shared_data / name)[:20]
        write_examples(examples, tmp_path / "own.json")
        assert load_examples(tmp_path / "own.json") == examples
    write_examples(load_examples(WORLD), tmp_path / "plain.json")
    assert describe(tmp_path / "plain.json").layout == "hotpotqa"


def test_questions_of_yes_and_no_are_right_half_of_the_time(tmp_path: Path) -> None:
    path = tmp_path / "housing.jsonl"
    write_examples(load_examples("world:n=200,paragraphs=4"), path, "housingqa")
    counts = Counter(one.gold.answers[0] for one in load_examples(path))
    assert 70 < counts["yes"] < 130
    assert sum(counts.values()) == 200


def test_a_choice_has_no_place_where_there_are_no_options(tmp_path: Path) -> None:
    choices = lines(tmp_path / "c.jsonl", {"question": "Q?", "choices": ["x", "y"], "answer": "B"})
    with pytest.raises(DataError, match="holds free, and it is answered by choice"):
        write_examples(load_examples(choices), tmp_path / "x.jsonl", "musique")
    with pytest.raises(DataError, match="no place in a table"):
        write_examples(load_examples(WORLD), tmp_path / "x.tsv", "musique")
    assert not list(tmp_path.glob("x*"))


# -- ids ------------------------------------------------------------------------------------------


def test_an_id_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    records = [{"question": f"Q{n}?", "answer": str(n)} for n in range(5)]
    first = load_examples(lines(tmp_path / "a.jsonl", *records))
    turned = load_examples(lines(tmp_path / "b.jsonl", *records[::-1]))
    assert first == turned[::-1]
    assert len({one.task.id for one in first}) == 5


def test_the_same_question_has_one_id_wherever_its_gold_document_stands(tmp_path: Path) -> None:
    documents = [
        {"title": f"T{n}", "text": f"Text {n}.", "hasanswer": n == 1, "isgold": n == 1}
        for n in range(3)
    ]
    at = [
        {"question": "Q?", "answers": ["A"], "ctxs": turned}
        for turned in (documents, documents[::-1])
    ]
    one, other = (load_examples(lines(tmp_path / "a.jsonl", record))[0] for record in at)
    assert one.task.id == other.task.id
    assert one.task.context == other.task.context[::-1]


def test_what_stands_there_twice_is_named_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"question": "Q?", "answer": "A"}
    path = lines(tmp_path / "a.jsonl", record, {"question": "R?", "answer": "B"}, record, record)
    ids = [one.task.id for one in load_examples(path)]
    assert ids[2:] == [f"{ids[0]}-2", f"{ids[0]}-3"]
    assert [one.task.id for one in load_data(path).examples] == ids
    with pytest.raises(SystemExit) as caught:
        main(["data", "check", str(path)])
    assert caught.value.code == 0
    assert f"line 3 is what line 1 is; its id is {ids[0]}-2" in capsys.readouterr().out


def test_an_id_that_a_file_has_twice_is_refused(tmp_path: Path) -> None:
    record = {"test_id": 1, "question": "Q?", "answer": "A"}
    path = lines(tmp_path / "a.jsonl", record, record)
    with pytest.raises(DataError, match="line 2, field 'test_id': '1' stands at line 1 already"):
        load_data(path)


# -- sets and layouts by name ---------------------------------------------------------------------


def test_a_set_says_how_its_questions_are_answered_and_scored(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"test_id": 0, "question": "Q?", "answer": "Yes"})
    (plain,), (housing,) = load_examples(path), load_examples(f"as:housingqa:{path}")
    assert (plain.task.form.kind, plain.metric, plain.gold.answers) == (FREE, "hotpotqa", ("Yes",))
    assert (housing.task.form.kind, housing.metric) == (YES_NO, "labels")
    assert housing.gold.answers == ("yes",)
    assert data_hash(f"as:housingqa:{path}") != data_hash(path)
    assert load_examples(f"as:pubmedqa:{path}")[0].task.form.kind is MAYBE
    assert resolve_source(f"as:lhf:{path}") == f"as:lhf:{path.resolve()}"
    with pytest.raises(DataError, match="field 'choices': casehold is answered by a choice"):
        load_examples(f"as:casehold:{path}")


def test_a_set_changes_nothing_of_a_file_that_is_its_own(shared_data: Path) -> None:
    path = shared_data / "popqa" / "popQA.tsv"
    assert data_hash(f"as:popqa:{path}") == data_hash(path)
    assert load_examples(f"as:popqa:{path}") == load_examples(path)


def test_a_layout_that_the_content_does_not_tell_is_said(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"question": "Q?", "answer": "A", "context": "of no use"})
    with pytest.raises(DataError, match="field 'context': expected a list"):
        load_examples(path)
    (one,) = load_examples(f"as:plain:{path}")
    assert (one.task.question, one.gold.answers, one.task.context) == ("Q?", ("A",), ())


@pytest.mark.parametrize(
    "source",
    ["as:squad:x.json", "as:popqa:", "as:popqa", "as:popqa:world:n=3", "as:popqa:first:1:x"],
)
def test_what_is_no_file_of_a_set_is_refused(source: str) -> None:
    with pytest.raises(DataError):
        load_data(source)


def test_a_set_that_is_not_here_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMI_DATA", str(tmp_path))
    for name, entry in SETS.items():
        with pytest.raises(DataError, match=f"{name}: not here yet; ") as caught:
            load_data(name)
        assert (str(tmp_path / name) in str(caught.value)) == bool(entry.how)
    with pytest.raises(DataError, match="popqa has no split train; it has dev"):
        load_data("popqa-train")
    folder = tmp_path / "lhf"
    folder.mkdir()
    lines(folder / "dev.jsonl", {"question": "Q?", "answer": "No"})
    assert load_data("lhf").source == "lhf"
    assert load_data("lhf").examples[0].task.form.kind is YES_NO
    with pytest.raises(DataError, match="not here yet"):
        load_data("lhf-train")
    lines(folder / "train.jsonl", {"question": "R?", "answer": "Yes"})
    assert load_data("lhf-train").examples[0].gold.answers == ("yes",)


def test_2wiki_answers_have_their_aliases_and_demonyms(tmp_path: Path) -> None:
    record = {
        "_id": "a",
        "question": "Q?",
        "answer": "France",
        "answer_id": "Q142",
        "evidences": [],
        "supporting_facts": [],
        "context": [["T", ["S."]]],
    }
    path = tmp_path / "dev.json"
    path.write_text(json.dumps([record]))
    before = data_hash(path)
    assert load_examples(path)[0].gold.answers == ("France",)
    assert "missing: id_aliases.json beside it" in describe(path).render()
    lines(
        tmp_path / "id_aliases.json",
        {"Q_id": "Q1", "aliases": ["x"], "demonyms": []},
        {"Q_id": "Q142", "aliases": ["French Republic"], "demonyms": ["French"]},
    )
    data = load_data(path)
    assert data.examples[0].gold.answers == ("France", "French Republic", "French")
    assert data.sha256 != before
    assert "missing" not in describe(path).render()
    (tmp_path / "id_aliases.json").write_text('{"Q_id": 1}\n')
    with pytest.raises(DataError, match=r"id_aliases.json: line 1: expected Q_id"):
        load_data(path)


def test_an_answer_without_a_name_is_its_entity(tmp_path: Path) -> None:
    record = {"ID": "a", "question": "Q?", "answers": [{"answer_id": "m.01", "answer": None}]}
    assert load_examples(lines(tmp_path / "a.jsonl", record))[0].gold.answers == ("m.01",)
    record["answers"].append({"answer_id": "m.02", "answer": "Two", "aliases": ["2"]})  # type: ignore[attr-defined]
    assert load_examples(lines(tmp_path / "a.jsonl", record))[0].gold.answers == ("Two", "2")


def test_prose_that_ends_in_a_decision_is_the_decision(tmp_path: Path) -> None:
    told = "They do, mostly. The final decision is: yes"
    (one,) = load_examples(lines(tmp_path / "a.jsonl", {"question": "Do they?", "answer": told}))
    assert (one.task.form.kind, one.gold.answers, one.metric) == (MAYBE, ("yes",), "labels")


def test_every_set_has_a_layout_a_metric_and_a_way_to_get_it() -> None:
    assert len(SETS) == 12
    for entry in SETS.values():
        assert all(layout in LAYOUTS for layout in entry.layouts)
        assert entry.how or all(split.url for split in entry.splits.values())
        assert "dev" in entry.splits


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["list"], ["popqa", "casehold", "choice", "14,267", "world:..."]),
        (["list", "nq_lim"], ["Liu et al. 2023", "CC BY-SA 3.0", "best_subspan_em"]),
        (["show", "sample", "--n", "1", "--start", "3"], ["fictional-7-00003", "gold "]),
        (["check", "sample", "--start", "50"], ["10 valid examples", "rows:50-:sample"]),
    ],
)
def test_the_registry_and_questions_are_shown(
    capsys: pytest.CaptureFixture[str], words: list[str], told: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["data", *words])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert [word for word in told if word not in out] == []
