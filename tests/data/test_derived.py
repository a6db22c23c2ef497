"""Questions made of other questions, and questions that come with their passages."""

import json
from pathlib import Path

import pytest

from pmi_kernel.core.errors import DataError
from pmi_kernel.core.task import Example
from pmi_kernel.data import data_hash, load_data, load_examples, resolve_source
from pmi_kernel.data.check import describe
from pmi_kernel.data.derived import DOMAINS
from pmi_kernel.runs import RunSettings, run
from tests.runs.scripts import SCRIPTED


def with_passages(path: Path, count: int = 2, **changes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        {
            "test_id": number,
            "question": f"Who wrote book {number} of {path.parent.name}?",
            "answer": [f"Author {number}", f"A. {number}"],
            "passages": [f"Book {number} was written by Author {number}.", "Nothing.", "Less."],
            **changes,
        }
        for number in range(count)
    ]
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def contexts(examples: list[Example]) -> list[tuple[str, ...]]:
    return [tuple(paragraph.text for paragraph in one.task.context) for one in examples]


def test_the_first_ones(sample: list[Example]) -> None:
    assert load_examples("first:3:sample") == sample[:3]
    assert load_examples("first:999:sample") == sample


def test_rows_are_taken_from_one_to_before_another(sample: list[Example]) -> None:
    assert load_examples("rows:2-5:sample") == sample[2:5]
    assert load_examples("rows:55-:sample") == sample[55:]
    assert load_examples("rows:0-999:sample") == sample
    assert load_examples("shift:rows:1-4:sample")[1].task.id == sample[2].task.id


def test_a_shift_gives_each_question_the_context_of_the_one_before(sample: list[Example]) -> None:
    shifted = load_examples("shift:first:5:sample")
    assert contexts(shifted) == contexts([sample[4], *sample[:4]])
    assert [one.task.question for one in shifted] == [one.task.question for one in sample[:5]]
    assert all(not one.gold.supporting_facts for one in shifted)  # nothing there is their own
    assert [one.gold.answers for one in shifted] == [one.gold.answers for one in sample[:5]]


def test_a_share_of_the_context_is_the_next_ones(sample: list[Example]) -> None:
    source = "world:n=3,seed=1,paragraphs=4"
    plain, mixed = load_examples(source), load_examples(f"mixed:0.5:{source}")
    for place, one in enumerate(mixed):
        own, after = plain[place].task.context, plain[(place + 1) % 3].task.context
        assert one.task.context == (*own[:2], *after[:2])
        titles = {paragraph.title for paragraph in own[:2]}
        assert all(fact.title in titles for fact in one.gold.supporting_facts)
    assert load_examples(f"mixed:0:{source}") == plain


def test_files_are_mixed_in_turn_and_keep_their_ids_apart(tmp_path: Path) -> None:
    one = with_passages(tmp_path / "popqa" / "dev.json", 3)
    other = with_passages(tmp_path / "hotpotqa" / "dev.json", 1)
    ids = [example.task.id for example in load_examples(f"mix:{one},{other}")]
    assert ids == ["popqa/dev/0", "hotpotqa/dev/0", "popqa/dev/1", "popqa/dev/2"]
    with pytest.raises(DataError, match="two sources are called 'popqa/dev'"):
        load_examples(f"mix:{one},{one}")


def test_parts_of_files_are_mixed_too(tmp_path: Path) -> None:
    one = with_passages(tmp_path / "popqa" / "dev.json", 3)
    other = with_passages(tmp_path / "hotpotqa" / "dev.json", 3)
    found = load_examples(f"mix:rows:1-2:{one},first:1:{other}")
    assert [example.task.id for example in found] == ["popqa/dev/1", "hotpotqa/dev/0"]


def test_a_domain_of_the_authors_is_a_mixture_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in DOMAINS["law"]:
        with_passages(tmp_path / "data_aug" / name / "train.json", 2)
    found = load_examples("regrad:law")
    assert [one.task.id for one in found[:3]] == [f"{one}/train/0" for one in DOMAINS["law"]]
    assert load_examples(resolve_source("regrad:law:train")) == found
    with pytest.raises(DataError, match=r"casehold/dev\.json"):
        load_examples("regrad:law:dev")


def test_a_passage_is_called_by_the_title_that_the_record_tells(tmp_path: Path) -> None:
    path = with_passages(
        tmp_path / "dev.json",
        passages=["Ulm\nUlm lies on the Danube.", "Ulm\nIt has a minster.", "Bread\n"],
        found=[{"title": "Ulm"}, {"title": "Trier"}, {"title": "Bread"}],
    )
    first, second, third = load_examples(path)[0].task.context
    assert (first.title, first.text) == ("Ulm", "Ulm lies on the Danube.")
    assert (second.title, third.title) == ("Passage 2", "Passage 3")


def test_passages_become_paragraphs_and_every_answer_counts(tmp_path: Path) -> None:
    example = load_examples(with_passages(tmp_path / "dev.json"))[1]
    assert example.task.id == "1"
    assert example.gold.answers == ("Author 1", "A. 1")
    assert [paragraph.title for paragraph in example.task.context] == [
        "Passage 1",
        "Passage 2",
        "Passage 3",
    ]
    assert example.task.context[0].text == "Book 1 was written by Author 1."


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"passages": []}, "passages"),
        ({"passages": ["text", " "]}, "passages"),
        ({"test_id": None}, "test_id"),
        ({"answer": []}, "answer"),
        ({"question": None}, "question"),
    ],
)
def test_a_record_with_passages_is_checked(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    path = with_passages(tmp_path / "dev.json", **changes)
    with pytest.raises(DataError, match=f"record 1, field '{field}'"):
        load_examples(path)
    assert describe(path).num_examples == 0


@pytest.mark.parametrize(
    "source",
    [
        "first:0:sample",
        "first:x:sample",
        "first:3",
        "first:3:",
        "shift:",
        "mixed:1.5:sample",
        "mixed:sample",
        "rows:3:sample",
        "rows:-3:sample",
        "rows:5-2:sample",
        "rows:60-:sample",
        "rows:1-x:sample",
        "mix:sample",
        "mix:sample,",
        "mix:sample,world:n=3",
        "mix:sample,first:2:",
        "regrad:sports",
        "regrad:law:../x",
        "shift:first:1:sample",
        "shift:nowhere.json",
    ],
)
def test_what_is_no_source_is_refused(source: str) -> None:
    with pytest.raises(DataError):
        load_data(source)


def test_a_source_means_the_same_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_passages(tmp_path / "dev.json")
    monkeypatch.chdir(tmp_path)
    there = resolve_source("shift:first:2:dev.json")
    assert there == f"shift:first:2:{(tmp_path / 'dev.json').resolve()}"
    assert data_hash(there) == load_data("shift:first:2:dev.json").sha256
    assert data_hash(there) != data_hash("first:2:dev.json")


def test_a_run_takes_its_data_so_arranged(tmp_path: Path) -> None:
    settings = RunSettings(out=tmp_path / "out", num_samples=4, shift=True, mixed=0.5)
    assert settings.source == "shift:mixed:0.5:first:4:sample"
    run(settings, SCRIPTED)
    record = json.loads((tmp_path / "out" / "config.json").read_text())
    assert record["data"]["sha256"] == data_hash(settings.source)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["num_episodes"] == 4


def test_gold_paragraphs_are_placed_among_so_many(sample: list[Example]) -> None:
    for place in (0, 2, 5):
        for example in load_examples(f"placed:6@{place}:first:4:sample"):
            titles = [paragraph.title for paragraph in example.task.context]
            gold = [title in example.gold.passages for title in titles]
            assert len(titles) == 6
            first = gold.index(True)
            assert first == min(place, 6 - sum(gold))
            assert all(gold[first : first + sum(gold)])


def test_an_order_is_drawn_by_a_seed(sample: list[Example]) -> None:
    one, again, other = (
        contexts(load_examples(f"placed:10~{seed}:first:6:sample")) for seed in (1, 1, 2)
    )
    assert one == again != other
    assert [sorted(texts) for texts in one] == [sorted(texts) for texts in contexts(sample[:6])]


@pytest.mark.parametrize("source", ["placed:3@3:sample", "placed:0@0:sample", "placed:3:sample"])
def test_a_place_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(DataError, match="place"):
        load_examples(source)
