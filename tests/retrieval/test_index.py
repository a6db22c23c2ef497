import json
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest

from pmi_kernel.core.errors import ConfigError, DataError, SettingsError
from pmi_kernel.core.progress import Report, Stopped, Watch, watched
from pmi_kernel.retrieval.index.build import Built, build
from pmi_kernel.retrieval.index.checking import check, listed
from pmi_kernel.retrieval.index.on_disk import analyzer
from pmi_kernel.retrieval.index.passages import Corpus, CorpusPassage
from pmi_kernel.retrieval.index.settings import IndexSettings
from pmi_kernel.retrieval.index.store import (
    COMMITS,
    FILES,
    Index,
    drop,
    names,
    open_index,
    place,
)
from tests.retrieval.corpora import WORDS, build_until, made, write_jsonl, write_tsv


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_CACHE", str(tmp_path / "cache"))


def built(corpus: Path, name: str = "towns", commit_every: int = 200_000) -> Index:
    return build(IndexSettings(name=name, commit_every=commit_every, min_free_gb=0), [corpus])


def stopped_at(num: int, corpus: Path, commit_every: int = 500) -> None:
    """A build that is stopped once so many passages were read."""
    watch = Watch()

    def stop(built: Built) -> None:
        if built.num_passages >= num:
            watch.stop()

    settings = IndexSettings(name="towns", commit_every=commit_every, min_free_gb=0)
    with pytest.raises(Stopped), watched(watch):
        build(settings, [corpus], on_progress=stop)


# -- built and searched -------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["c.tsv", "c.tsv.gz", "c.jsonl", "c.jsonl.gz"])
def test_a_passage_is_found_by_its_words_whatever_the_layout(tmp_path: Path, file: str) -> None:
    passages = [*made(20), CorpusPassage("q", 'The "Old" Mill', 'It "ground"\tcorn.')]
    write = write_tsv if ".tsv" in file else write_jsonl
    index = built(write(tmp_path / file, passages))
    (hit,) = index.search("Which mill was grinding the corn of old?", 1)
    assert (hit.row, hit.passage) == (20, passages[20])
    assert index.is_whole
    assert index.num_passages == 21


def test_the_same_passages_are_the_same_index_in_any_layout(tmp_path: Path) -> None:
    passages = made(300)
    one = built(write_tsv(tmp_path / "c.tsv.gz", passages), "one", commit_every=70)
    other = built(write_jsonl(tmp_path / "c.jsonl", passages), "other")
    assert one.sha256 == other.sha256
    for query in ("river bridge", "castle unique17", "lighthouse", "abbey of the garden"):
        found, there = one.search(query, 40), other.search(query, 40)
        assert [hit.row for hit in found] == [hit.row for hit in there]


def test_another_passage_or_another_order_is_another_index(tmp_path: Path) -> None:
    passages = made(30)
    hashes = {
        built(write_jsonl(tmp_path / f"{name}.jsonl", variant), name).sha256
        for name, variant in {
            "same": passages,
            "shorter": passages[:-1],
            "turned": passages[::-1],
            "moved": [*passages[:-1], CorpusPassage("p29", "", f"x{passages[-1].text}")],
        }.items()
    }
    assert len(hashes) == 4


def test_of_equal_passages_the_earlier_comes_first(tmp_path: Path) -> None:
    same = [CorpusPassage(str(row), "Bell", "a bell rings") for row in range(200)]
    index = built(write_jsonl(tmp_path / "c.jsonl", same), commit_every=30)
    assert [hit.row for hit in index.search("bell", 5)] == [0, 1, 2, 3, 4]


def test_words_are_found_stemmed_folded_and_without_stop_words(tmp_path: Path) -> None:
    passages = [CorpusPassage("1", "Zoë", "He ran many bakeries."), CorpusPassage("2", "It", "The")]
    index = built(write_jsonl(tmp_path / "c.jsonl", passages))
    assert [hit.row for hit in index.search("zoe", 3)] == [0]
    assert [hit.row for hit in index.search("BAKERY", 3)] == [0]
    assert index.search("the of it", 3) == []
    assert index.search("+title:(bell AND", 3) == []


def test_files_are_indexed_one_after_another(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "a.jsonl", made(10))
    two = write_tsv(tmp_path / "b.tsv", [CorpusPassage("z", "Zebra", "striped")])
    index = build(IndexSettings(name="both", min_free_gb=0), [one, two])
    assert [hit.row for hit in index.search("zebra", 3)] == [10]
    assert check("both", Corpus([one, two])).problems == []
    assert check("both", Corpus([two, one])).problems


class Bm25Reference:
    """BM25 (k1 1.2, b 0.75) summed over title and text, of passages of under forty words."""

    def __init__(self, passages: Sequence[CorpusPassage]) -> None:
        self._split, self._num = analyzer(), len(passages)
        self._lengths: dict[str, np.ndarray] = {}
        self._counts: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        for field in ("title", "text"):
            told = [self._split.analyze(getattr(one, field)) for one in passages]
            self._lengths[field] = np.array([len(words) for words in told])
            for row, words in enumerate(told):
                for word, count in Counter(words).items():
                    self._counts[field, word][row] = count

    def scores(self, query: str) -> np.ndarray:
        """The score of every passage."""
        scores = np.zeros(self._num)
        for word in self._split.analyze(query):
            for field, lengths in self._lengths.items():
                counts = self._counts.get((field, word), {})
                idf = math.log(1 + (self._num - len(counts) + 0.5) / (len(counts) + 0.5))
                rows, tf = np.array([*counts], int), np.array([*counts.values()], float)
                norm = 1.2 * (0.25 + 0.75 * lengths[rows] / lengths.mean())
                scores[rows] += idf * tf * 2.2 / (tf + norm)
        return scores


@pytest.mark.parametrize(("num", "commit_every"), [(700, 150), (700, 1_000), (40_000, 15_000)])
def test_scores_are_those_of_bm25_and_no_better_passage_is_missed(
    tmp_path: Path, num: int, commit_every: int
) -> None:
    passages, random = made(num), Random(1)
    index = built(write_jsonl(tmp_path / "c.jsonl", passages), commit_every=commit_every)
    reference = Bm25Reference(passages)
    for _ in range(60):
        rare = [f"unique{random.randrange(num)}" for _ in range(random.randint(0, 2))]
        rare += [str(random.randrange(num))] * random.randint(0, 2)
        words = [*random.choices(WORDS, k=random.randint(0, 6)), *rare] or ["river"]
        query = " ".join(random.sample(words, len(words)))
        wanted = reference.scores(query)
        best = [score for score in np.sort(wanted)[::-1][:10] if score > 0]
        found = index.search(query, 10)
        assert [hit.score for hit in found] == pytest.approx(best, rel=1e-4)
        assert [wanted[hit.row] for hit in found] == pytest.approx(best, rel=1e-4)


# -- killed, stopped, and gone on with ------------------------------------------------------------


def test_a_build_that_is_killed_again_and_again_ends_whole(tmp_path: Path) -> None:
    corpus, random = write_jsonl(tmp_path / "c.jsonl.gz", made(20_000)), Random(0)
    num_kills = sum(not build_until("towns", corpus, 150, random.randint(1, 19)) for _ in range(6))
    assert num_kills >= 5
    index = built(corpus, commit_every=150)
    found = check("towns", Corpus([corpus]))
    assert (found.num_found, found.problems) == (20_000, [])
    assert index.sha256 == built(corpus, "at_once").sha256


def test_a_stopped_build_goes_on_after_its_last_commit(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", made(5_000))
    stopped_at(3_000, corpus)
    told: list[Built] = []
    settings = IndexSettings(name="towns", commit_every=500, min_free_gb=0)
    index = build(settings, [corpus], on_progress=told.append)
    assert {one.num_before for one in told} == {3_000}
    assert told[-1].num_passages == index.num_passages == 5_000
    assert told[-1].read_bytes == told[-1].total_bytes == corpus.stat().st_size
    assert check("towns").problems == []


def test_a_build_does_not_go_on_with_another_corpus(tmp_path: Path) -> None:
    corpus, passages = tmp_path / "c.jsonl", made(3_000)
    stopped_at(2_000, write_jsonl(corpus, passages))
    for changed in ([*passages[1:]], passages[:1_999]):
        write_jsonl(corpus, changed)
        with pytest.raises(ConfigError, match="another corpus"):
            built(corpus, commit_every=500)
    assert built(write_jsonl(corpus, passages), commit_every=500).is_whole


def test_what_comes_after_the_last_commit_may_be_mended(tmp_path: Path) -> None:
    corpus, passages = write_jsonl(tmp_path / "c.jsonl", made(2_000)), made(2_000)
    lines = corpus.read_text().splitlines()
    corpus.write_text("\n".join([*lines[:1_500], '{"_id": "x"}', *lines[1_501:]]) + "\n")
    with pytest.raises(DataError, match=r"c\.jsonl: line 1501, field 'text'"):
        built(corpus, commit_every=400)
    assert built(write_jsonl(corpus, passages), commit_every=400).num_passages == 2_000
    assert check("towns", Corpus([corpus])).problems == []


def test_an_index_is_built_once(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", made(10))
    first = built(corpus)
    assert built(corpus).sha256 == first.sha256
    with pytest.raises(ConfigError, match="of another corpus; drop it"):
        built(write_jsonl(corpus, made(11)))


def test_a_build_is_heard_and_stops(tmp_path: Path) -> None:
    heard: list[Report] = []
    with watched(Watch(heard.append)):
        built(write_jsonl(tmp_path / "c.jsonl", made(2_500)))
    assert {one.phase for one in heard} == {"indexing"}
    assert heard[-1].done == heard[-1].total


def test_two_builds_of_one_name_do_not_meet(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", made(3_000))

    def again(built_so_far: Built) -> None:
        with pytest.raises(ConfigError, match="is being built by another process"):
            built(corpus)

    assert build(IndexSettings(name="towns", min_free_gb=0), [corpus], on_progress=again).is_whole


# -- room on the disk -----------------------------------------------------------------------------


def test_a_build_is_not_begun_without_room(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", made(10))
    with pytest.raises(ConfigError, match=r"GB are free, and .* GB are needed"):
        build(IndexSettings(name="towns", min_free_gb=1_000_000), [corpus])


def test_a_build_stops_where_room_runs_out_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", made(1_000))
    usage, left = shutil.disk_usage(tmp_path), [50e9, 30e9, 10e9, 1e9]
    with monkeypatch.context() as disk:
        disk.setattr("shutil.disk_usage", lambda path: usage._replace(free=left.pop(0)))
        with pytest.raises(ConfigError, match=r"1 GB are free.*make room"):
            build(IndexSettings(name="towns", commit_every=200, min_free_gb=2), [corpus])
    assert COMMITS.at(place("towns", is_whole=False)).is_file()
    assert open_index("towns", is_incomplete_allowed=True).num_passages == 600
    assert built(corpus, commit_every=200).num_passages == 1_000


# -- what is not whole ----------------------------------------------------------------------------


def test_an_index_that_is_not_whole_is_searched_only_where_that_is_allowed(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", made(4_000))
    stopped_at(2_000, corpus)
    with pytest.raises(ConfigError, match=r"2,000 passages are in it.*--allow_incomplete"):
        open_index("towns")
    index = open_index("towns", is_incomplete_allowed=True)
    assert not index.is_whole
    assert [hit.row for hit in index.search("unique1500", 3)] == [1_500]
    assert check("towns").problems == ["it was being built: go on with the command that began it"]
    assert index.sha256 != built(corpus).sha256


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_damaged_file_is_found(tmp_path: Path, *, is_cut: bool) -> None:
    built(write_jsonl(tmp_path / "c.jsonl", made(1_000)))
    files = (place("towns", is_whole=True) / FILES).glob("*.idx")
    path = max(files, key=lambda one: one.stat().st_size)
    data = bytearray(path.read_bytes())
    if is_cut:
        path.write_bytes(data[:-10])
        with pytest.raises(ConfigError, match=r"not whole|damaged"):
            open_index("towns")
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert check("towns").problems == [f"the file {path.name} is not the one that was written"]


def test_a_torn_record_of_an_index_is_named(tmp_path: Path) -> None:
    built(write_jsonl(tmp_path / "c.jsonl", made(10)))
    meta = place("towns", is_whole=True) / "meta.json"
    meta.write_text(meta.read_text()[:50])
    with pytest.raises(ConfigError, match=r"meta\.json is damaged.*drop it"):
        open_index("towns")
    assert [one.problem for one in listed()] != [""]
    meta.unlink()
    with pytest.raises(ConfigError, match=r"is no index"):
        open_index("towns")


def test_a_dropped_index_is_gone(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", made(1_500))
    stopped_at(1_000, corpus)
    drop("towns")
    assert names() == []
    built(corpus)
    assert [(one.name, one.is_whole, one.num_passages) for one in listed()] == [
        ("towns", True, 1_500)
    ]
    drop("towns")
    with pytest.raises(ConfigError, match="there is no index 'towns'"):
        drop("towns")


# -- bad input ------------------------------------------------------------------------------------

_BAD = {
    "an array": ("[1]", "expected an object"),
    "no id": ('{"title": "t", "text": "x"}', "field 'id': expected a text, found none"),
    "an id that is a list": ('{"_id": [], "title": "t", "text": "x"}', "'_id'.*found list"),
    "an id that is true": ('{"_id": true, "title": "t", "text": "x"}', "'_id'.*found bool"),
    "an empty id": ('{"_id": "", "title": "t", "text": "x"}', "'_id': is empty"),
    "no text": ('{"_id": "1", "title": "t"}', "field 'text'"),
    "a text that is a number": ('{"_id": "1", "text": 5}', "'text': expected a text, found int"),
    "a title that is an object": (
        '{"_id": "1", "title": {"a": 1}, "text": "x"}',
        "'title'.*found dict",
    ),
    "nothing to find": ('{"_id": "1", "title": " ", "text": ""}', "'text': is empty"),
    "half a character": ('{"_id": "1", "text": "\\ud800"}', "'text': is not valid text"),
    "a torn line": ('{"_id": "1", "te', "column 17"),
    "NaN": ('{"_id": "1", "text": "x", "y": NaN}', "NaN is not JSON"),
    "a huge number": (f'{{"_id": 1{"0" * 400}, "text": "x"}}', "integer of 401 digits"),
    "a name twice": ('{"_id": "1", "text": "x", "text": "y"}', "stands there twice"),
}


@pytest.mark.parametrize("kind", _BAD)
def test_a_record_that_is_no_passage_is_named(tmp_path: Path, kind: str) -> None:
    line, problem = _BAD[kind]
    corpus = write_jsonl(tmp_path / "c.jsonl", made(2))
    corpus.write_text(corpus.read_text() + line + "\n")
    with pytest.raises(DataError, match=rf"c\.jsonl.*line 3.*{problem}"):
        built(corpus)
    assert [one.is_whole for one in listed()] == [False]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("c.jsonl", b"", "holds no records"),
        ("c.jsonl", b'{"_id": "1", "text": "\xff"}', "not UTF-8"),
        ("c.jsonl.gz", b"\x1f\x8b\x08", "broken gzip"),
        ("c.tsv", b"id\ttext\n1\tx\ty\n", "3 columns"),
        ("c.tsv", b'id\ttext\ttitle\n1\t"x\ty\n', "a quote is not closed"),
        ("c.tsv", b"id\ttext\ttitle\n1\tx\0\ty\n", "NUL"),
        ("c.tsv", b"id\tbody\ttitle\n1\tx\ty\n", "field 'text'"),
        ("c.txt", b"x", "a corpus is a"),
    ],
)
def test_a_file_that_is_no_corpus_is_named(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=problem):
        built(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        built(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../..", "../x", "/", "a/b", "a/../..", ".x", "x.partial", "x\n", "a b"]
)
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_touched(
    tmp_path: Path, name: str
) -> None:
    built(write_jsonl(tmp_path / "c.jsonl", made(10)))
    (tmp_path / "x").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SettingsError, match="name"):
        IndexSettings(name=name)
    for verb in (open_index, check, drop):
        with pytest.raises(ConfigError, match="is no name of an index"):
            verb(name)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_id_may_be_a_number_and_a_title_absent(tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.write_text(json.dumps({"id": 7, "text": "a bell", "other": None}) + "\n")
    (hit,) = built(corpus).search("bell", 1)
    assert hit.passage == CorpusPassage("7", "", "a bell")


# -- on real passages -----------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["wiki.tsv.gz", "med.jsonl.gz", "law.jsonl.gz"])
def test_a_real_corpus_is_indexed_whole(shared_data: Path, file: str) -> None:
    corpus = shared_data / "corpus" / file
    if not corpus.is_file():
        pytest.skip(f"{corpus} is not here")
    index = built(corpus, "real", commit_every=1_000)
    assert check("real", Corpus([corpus])).problems == []
    assert index.num_passages == sum(1 for _ in Corpus([corpus]))
