import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pmi_kernel.cli import main
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.progress import Report, Stopped, Watch, watched
from pmi_kernel.data import load_examples
from pmi_kernel.retrieval.augment import AugmentSettings, augment
from pmi_kernel.retrieval.index.build import build
from pmi_kernel.retrieval.index.passages import CorpusPassage
from pmi_kernel.retrieval.index.settings import IndexSettings
from pmi_kernel.retrieval.lost_in_the_middle import build_nq_lim
from tests.retrieval.corpora import made, write_jsonl

WORLD = "world:hops=2,n=40,seed=3"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def world(tmp_path: Path) -> str:
    """The paragraphs of a world's questions as an index, each once."""
    paragraphs = {p.title: p for example in load_examples(WORLD) for p in example.task.context}
    corpus = [CorpusPassage(str(n), p.title, p.text) for n, p in enumerate(paragraphs.values())]
    build(IndexSettings(name="world", min_free_gb=0), [write_jsonl(tmp_path / "w.jsonl", corpus)])
    return "world"


def test_the_file_is_the_authors_with_what_was_found_beside(tmp_path: Path, world: str) -> None:
    out = tmp_path / "dev.json"
    found = augment(AugmentSettings(source=WORLD, index=world, topk=4), out)
    records: list[dict[str, Any]] = json.loads(out.read_text())
    assert (found.num, len(records), found.num_short) == (40, 40, 0)
    for record, example in zip(records, load_examples(WORLD), strict=True):
        assert record["test_id"] == example.task.id
        assert record["question"] == example.task.question
        assert len(record["passages"]) == len(record["found"]) == 4
        for text, one in zip(record["passages"], record["found"], strict=True):
            assert text.startswith(f"{one['title']}\n")
        scores = [one["score"] for one in record["found"]]
        assert scores == sorted(scores, reverse=True)
    again = load_examples(out)
    assert [one.task.id for one in again] == [one.task.id for one in load_examples(WORLD)]
    assert all(len(one.task.context) == 4 for one in again)
    assert list(tmp_path.glob("dev.json.*")) == []


def test_recall_counts_the_gold_passages_that_were_found(tmp_path: Path, world: str) -> None:
    out = tmp_path / "dev.json"
    found = augment(AugmentSettings(source=WORLD, index=world, topk=1), out)
    records = json.loads(out.read_text())
    shares = []
    for record, example in zip(records, load_examples(WORLD), strict=True):
        gold = {fact.title for fact in example.gold.supporting_facts}
        titles = {one["title"] for one in record["found"]}
        shares.append(len(gold & titles) / len(gold))
    assert found.recall == pytest.approx(sum(shares) / len(shares))
    assert found.all_found == pytest.approx(sum(share == 1 for share in shares) / len(shares))
    assert 0 < sum(shares) < len(shares)


def test_only_the_gold_passages_are_kept(tmp_path: Path, world: str) -> None:
    whole, out = tmp_path / "whole.json", tmp_path / "gold.json"
    augment(AugmentSettings(source=WORLD, index=world, topk=2), whole)
    found = augment(AugmentSettings(source=WORLD, index=world, topk=2, only_gold=True), out)
    wanted = {}
    for record, example in zip(json.loads(whole.read_text()), load_examples(WORLD), strict=True):
        gold = {fact.title for fact in example.gold.supporting_facts}
        if titles := [one["title"] for one in record["found"] if one["title"] in gold]:
            wanted[example.task.id] = titles
    again = load_examples(out)
    assert {one.task.id: [p.title for p in one.task.context] for one in again} == wanted
    assert found.num_written == len(wanted) == found.num == 40
    assert {len(one.task.context) for one in again} == {1}


def test_popqas_gold_passages_are_those_of_the_subject(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [
        CorpusPassage("1", "River 1", "The river was found by Ada Lind."),
        CorpusPassage("2", "Mill", "The mill on a river."),
    ]
    corpus = write_jsonl(tmp_path / "t.jsonl", [*told, *made(50)])
    build(IndexSettings(name="towns", min_free_gb=0), [corpus])
    rows = [
        "id\tsubj\tprop\tobj\ts_wiki_title\tquestion\tpossible_answers",
        '7\tRiver\tfounder\tAda\tRiver 1\twho found the river\t["Ada Lind"]',
        '8\tNo\tfounder\tAda\tNowhere\twho found the mill\t["Ada Lind"]',
    ]
    table, out = tmp_path / "popQA.tsv", tmp_path / "gold.json"
    table.write_text("\n".join(rows) + "\n")
    words = ["--dataset", str(table), "--index", "towns", "--output_file", str(out), "--only_gold"]
    with pytest.raises(SystemExit) as ended:
        main(["data", "augment", *words])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "1 of 2 questions, the gold ones found alone" in shown
    assert "recall@3: 50.0%" in shown
    (one,) = load_examples(out)
    assert (one.task.id, [p.title for p in one.task.context]) == ("7", ["River 1"])


def test_a_stopped_search_goes_on_to_the_same_file(tmp_path: Path, world: str) -> None:
    settings = AugmentSettings(source=WORLD, index=world)
    whole, out = tmp_path / "whole.json", tmp_path / "dev.json"
    augment(settings, whole)
    watch = Watch(lambda report: watch.stop() if report.done >= 25 else None)
    with pytest.raises(Stopped), watched(watch):
        augment(settings, out)
    assert not out.exists()
    partial = tmp_path / "dev.json.partial"
    partial.write_bytes(partial.read_bytes()[:-20])  # as a kill leaves it
    found = augment(settings, out)
    assert found.num_before == 24
    assert out.read_bytes() == whole.read_bytes()


def test_a_search_goes_on_with_its_own_questions_only(tmp_path: Path, world: str) -> None:
    out = tmp_path / "dev.json"
    watch = Watch(lambda report: watch.stop())
    with pytest.raises(Stopped), watched(watch):
        augment(AugmentSettings(source=WORLD, index=world), out)
    for other in ({"source": "sample"}, {"topk": 5}):
        settings = AugmentSettings(source=WORLD, index=world).but(**other)
        with pytest.raises(ConfigError, match=r"dev\.json\.partial was begun with other"):
            augment(settings, out)


def test_how_far_a_search_is_can_be_heard(tmp_path: Path, world: str) -> None:
    heard: list[Report] = []
    with watched(Watch(heard.append)):
        augment(AugmentSettings(source=WORLD, index=world), tmp_path / "dev.json")
    assert (heard[-1].done, heard[-1].total) == (40, 40)


def test_rows_are_augmented_from_the_command_line(
    tmp_path: Path, world: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "dev.json"
    words = ["data", "augment", "--dataset", WORLD, "--index", world, "--output_file", str(out)]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--topk", "3", "--start", "5", "--end", "15"])
    assert ended.value.code == 0
    assert "10 questions, 3 passages each" in capsys.readouterr().out
    ids = [one.task.id for one in load_examples(WORLD)][5:15]
    assert [one["test_id"] for one in json.loads(out.read_text())] == ids


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--dataset", "sample"], "--index: sample has no index of its own"),
        (["--dataset", "sample", "--split", "dev"], "--split: sample is no set"),
        (["--dataset", "sample", "--index", "none"], "there is no index 'none'"),
        (["--dataset", "popqa", "--split", "train"], "has no split train"),
        (["--dataset", "sample", "--index", "world", "--topk", "0"], "--topk"),
    ],
)
def test_what_cannot_be_augmented_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "augment", *words, "--output_file", str(tmp_path / "x.json")])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
    assert list(tmp_path.glob("x.json*")) == []


# -- lost in the middle ---------------------------------------------------------------------------


def oracle(path: Path, *rows: tuple[str, list[str], str, str]) -> Path:
    """An oracle file: question, answers, and the gold document's title and text."""
    records = [
        {
            "question": question,
            "answers": answers,
            "ctxs": [{"title": title, "text": text, "hasanswer": True, "isgold": True}],
            "nq_annotated_gold": {"title": title},
        }
        for question, answers, title, text in rows
    ]
    path.write_bytes(gzip.compress("".join(f"{json.dumps(one)}\n" for one in records).encode()))
    return path


@pytest.fixture
def towns(tmp_path: Path) -> str:
    told = CorpusPassage("told", "Gossip", "The river bridge was made by Ada Lind.")
    same = CorpusPassage("same", "River bridge", "A river bridge of the tower market.")
    corpus = write_jsonl(tmp_path / "t.jsonl", [told, same, *made(200)])
    build(IndexSettings(name="towns", min_free_gb=0), [corpus])
    return "towns"


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def test_the_gold_document_is_where_it_is_said_to_be(tmp_path: Path, towns: str) -> None:
    asked = oracle(
        tmp_path / "nq-open-oracle.jsonl.gz",
        ("who made the river bridge", ["Ada Lind"], "River bridge", "Ada Lind made it."),
        ("where is the castle garden", ["Nowhere at all"], "Castle", "Nowhere at all, it is."),
    )
    placed = build_nq_lim(asked, towns, tmp_path / "nq", num_docs=10, gold_at=(0, 4, 9))
    assert [path.name for path in placed.files] == [
        f"nq-open-10_total_documents_gold_at_{place}.jsonl.gz" for place in (0, 4, 9)
    ]
    assert (placed.num, placed.left_out) == (2, ())
    without = []
    for place, path in zip((0, 4, 9), placed.files, strict=True):
        rows = rows_of(path)
        for row in rows:
            documents = row["ctxs"]
            assert [n for n, one in enumerate(documents) if one["isgold"]] == [place]
            assert len({(one["title"], one["text"]) for one in documents}) == len(documents) == 10
            others = [one for one in documents if not one["isgold"]]
            assert not any(answer in one["text"] for one in others for answer in row["answers"])
            assert documents[place]["title"] not in {one["title"] for one in others}
        assert "Contriever" in rows[0]["about"]["distractors"]
        assert "about" not in rows[1]
        without.append([[one for one in row["ctxs"] if not one["isgold"]] for row in rows])
    assert without[0] == without[1] == without[2]


def test_what_is_built_is_data_and_its_gold_view_too(tmp_path: Path, towns: str) -> None:
    row = ("who made the river bridge", ["Ada Lind"], "River bridge", "Ada Lind made it.")
    asked = oracle(tmp_path / "o.jsonl.gz", row)
    placed = build_nq_lim(asked, towns, tmp_path, num_docs=10, gold_at=(4,))
    (example,) = load_examples(placed.files[0])
    assert len(example.task.context) == 10
    assert example.task.context[4].title == "River bridge"
    (view,) = load_examples(f"gold:{placed.files[0]}")
    assert [one.title for one in view.task.context] == ["River bridge"]
    assert view.task.id == example.task.id
    again = build_nq_lim(asked, towns, tmp_path / "again", num_docs=10, gold_at=(4,))
    assert again.files[0].read_bytes() == placed.files[0].read_bytes()


def test_a_question_with_too_few_distractors_is_left_out_and_told(
    tmp_path: Path, towns: str
) -> None:
    asked = oracle(
        tmp_path / "o.jsonl.gz",
        ("zyzzyva", ["A weevil"], "Z", "A weevil."),
        ("who made the river bridge", ["Ada Lind"], "River bridge", "Ada Lind made it."),
    )
    placed = build_nq_lim(asked, towns, tmp_path, num_docs=10, gold_at=(0,))
    assert (placed.num, placed.left_out) == (1, ("zyzzyva",))
    with pytest.raises(ConfigError, match="too few passages without an answer for any question"):
        build_nq_lim(
            oracle(tmp_path / "z.jsonl.gz", ("zyzzyva", ["A"], "Z", "A.")),
            towns,
            tmp_path / "z",
            num_docs=10,
            gold_at=(0,),
        )
    assert list((tmp_path / "z").glob("*.gz")) == []


@pytest.mark.parametrize(("docs", "num"), [(10, 3), (20, 5)])
def test_the_official_places_are_the_default(
    tmp_path: Path, towns: str, docs: int, num: int, capsys: pytest.CaptureFixture[str]
) -> None:
    row = ("who made the river bridge", ["Ada Lind"], "River bridge", "Ada Lind made it.")
    asked = oracle(tmp_path / "o.jsonl.gz", row)
    words = ["--docs", str(docs), "--index", towns, "--oracle", str(asked)]
    with pytest.raises(SystemExit) as ended:
        main(["data", "build", "nq_lim", "--out", str(tmp_path / "nq"), *words])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    names = {path.name for path in (tmp_path / "nq").iterdir()}
    assert names == {
        f"nq-open-{docs}_total_documents_gold_at_{place}.jsonl.gz"
        for place in (0, 4, 9, 14, 19)[:num]
    }
    assert all(name in told for name in names)


@pytest.mark.parametrize("places", [(), (10,), (-1,), (3, 3)])
def test_a_place_that_is_none_is_refused(
    tmp_path: Path, towns: str, places: tuple[int, ...]
) -> None:
    asked = oracle(tmp_path / "o.jsonl.gz", ("river", ["x"], "Z", "x"))
    with pytest.raises(ConfigError, match="name places of the gold document from 0 to 9"):
        build_nq_lim(asked, towns, tmp_path, num_docs=10, gold_at=places)


def test_an_oracle_without_a_gold_document_is_refused(tmp_path: Path, towns: str) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text(
        json.dumps({"question": "q", "answers": ["a"], "ctxs": [{"title": "t", "text": "x"}]})
    )
    with pytest.raises(
        DataError, match=r"line 1, field 'ctxs': expected one document that is gold"
    ):
        build_nq_lim(path, towns, tmp_path, num_docs=10, gold_at=(0,))


def test_real_questions_get_their_distractors(shared_data: Path, tmp_path: Path) -> None:
    corpus = shared_data / "corpus" / "wiki.tsv.gz"
    asked = shared_data / "nq" / "nq-open-oracle.jsonl.gz"
    if not (corpus.is_file() and asked.is_file()):
        pytest.skip(f"{corpus} or {asked} is not here")
    build(IndexSettings(name="wiki", min_free_gb=0), [corpus])
    placed = build_nq_lim(asked, "wiki", tmp_path, num_docs=20, gold_at=(9,))
    assert placed.num + len(placed.left_out) == len(load_examples(asked))
    assert len(placed.left_out) <= 5
    assert {len(one.task.context) for one in load_examples(placed.files[0])} == {20}
