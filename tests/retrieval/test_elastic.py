from collections.abc import Iterator
from pathlib import Path

import pytest

from pmi_kernel.core.errors import ConfigError, SettingsError
from pmi_kernel.retrieval.config import RetrievalConfig
from pmi_kernel.retrieval.index.build import build
from pmi_kernel.retrieval.index.checking import check, listed
from pmi_kernel.retrieval.index.passages import Corpus, CorpusPassage
from pmi_kernel.retrieval.index.settings import IndexSettings
from pmi_kernel.retrieval.index.store import Index, drop, open_index
from tests.retrieval.corpora import made, write_jsonl
from tests.retrieval.elastic_server import ElasticServer, serving

pytest.importorskip("elasticsearch", reason="the extra elasticsearch is not installed")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[ElasticServer]:
    with serving() as running:
        yield running


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "c.jsonl", made(3_300))


def settings_for(server: ElasticServer, **more: object) -> IndexSettings:
    given = {"name": "towns", "backend": "elasticsearch", "url": server.url, "min_free_gb": 0}
    return IndexSettings(**{**given, **more})


def built(server: ElasticServer, corpus: Path, **more: object) -> Index:
    return build(settings_for(server, **more), [corpus])


def test_every_passage_is_sent_once_and_counted(server: ElasticServer, corpus: Path) -> None:
    index = built(server, corpus)
    assert (index.num_passages, len(server.indices["towns"])) == (3_300, 3_300)
    assert server.num_bulks == 4
    assert check("towns", Corpus([corpus])).problems == []
    assert [(one.backend, one.is_whole) for one in listed()] == [("elasticsearch", True)]


def test_bm25_is_set_as_asked_for(server: ElasticServer, corpus: Path) -> None:
    index = built(server, corpus, k1=0.9, b=0.4)
    similarity = server.created["towns"]["settings"]["similarity"]["default"]
    assert similarity == {"type": "BM25", "k1": 0.9, "b": 0.4}
    drop("towns")
    assert built(server, corpus).sha256 != index.sha256


def test_a_passage_is_found_on_the_server(server: ElasticServer, corpus: Path) -> None:
    built(server, corpus)
    config = RetrievalConfig(retriever="corpus", index="towns")
    found = config.build_retriever().search("unique1234", (), 3)
    assert [(one.index, one.source) for one in found] == [(1_234, "towns/p1234")]
    assert len(config.build_retriever().search("river bridge", (), 3)) == 3


def test_a_build_that_the_server_broke_off_goes_on(server: ElasticServer, corpus: Path) -> None:
    server.full_after = 1_700
    with pytest.raises(ConfigError, match=r"stored 700 of 1,000 .*flood-stage"):
        built(server, corpus, commit_every=1_000)
    with pytest.raises(ConfigError, match="not whole"):
        open_index("towns")
    server.full_after = None
    assert built(server, corpus, commit_every=1_000).is_whole
    assert server.num_bulks == 2 + 3
    assert check("towns", Corpus([corpus])).problems == []


def test_passages_that_the_server_lost_are_missed(server: ElasticServer, corpus: Path) -> None:
    built(server, corpus)
    del server.indices["towns"]["77"]
    with pytest.raises(ConfigError, match="3,299 of 3,300 passages can be searched"):
        open_index("towns")
    assert not open_index("towns", is_incomplete_allowed=True).is_whole
    assert check("towns").problems


def test_a_count_that_does_not_agree_is_no_index(server: ElasticServer, corpus: Path) -> None:
    server.num_lost = 1
    with pytest.raises(ConfigError, match="has 3,299 of 3,300 passages"):
        built(server, corpus)


def test_changed_passages_are_found(server: ElasticServer, corpus: Path) -> None:
    built(server, corpus)
    server.indices["towns"]["77"]["text"] = "another"
    assert check("towns").problems == ["the passages in it are not those of the corpus"]


def test_a_part_of_an_answer_is_no_answer(server: ElasticServer, corpus: Path) -> None:
    index = built(server, corpus)
    server.failed_shards = 1
    with pytest.raises(ConfigError, match="searched only part of towns"):
        index.search("river", 3)


@pytest.mark.parametrize("free_gb", [9.9, 10.0])
def test_a_disk_of_which_a_tenth_is_free_is_full(
    server: ElasticServer, corpus: Path, free_gb: float
) -> None:
    server.free_gb = free_gb
    with pytest.raises(ConfigError, match=r"GB are free, and 10 GB are needed"):
        built(server, corpus)


def test_another_ones_index_is_left_alone(server: ElasticServer, corpus: Path) -> None:
    server.indices["towns"] = {"1": {"theirs": True}}
    server.searched["towns"] = {}
    server.created["towns"] = {"mappings": {"properties": {}}}
    with pytest.raises(ConfigError, match="has an index towns that was not built here"):
        built(server, corpus)
    with pytest.raises(ConfigError, match="was not built here"):
        drop("towns")
    assert server.indices["towns"] == {"1": {"theirs": True}}


def test_a_dropped_index_is_gone_from_the_server(server: ElasticServer, corpus: Path) -> None:
    built(server, corpus)
    drop("towns")
    assert server.indices == {}
    assert list(listed()) == []


def test_a_server_that_is_not_there_is_named(corpus: Path) -> None:
    with serving() as gone:
        settings = settings_for(gone)
    with pytest.raises(ConfigError, match=rf"{gone.url}: Elasticsearch could not do it"):
        build(settings, [corpus])


def test_the_same_passages_have_the_same_digest_on_any_backend(
    server: ElasticServer, corpus: Path
) -> None:
    there = built(server, corpus)
    here = build(IndexSettings(name="here", min_free_gb=0), [corpus])
    assert there.digest == here.digest
    assert there.sha256 != here.sha256  # the analyses differ


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"backend": "elasticsearch"}, "url is needed"),
        ({"url": "http://localhost:9200"}, "url is needed"),
        ({"k1": 0.9}, "k1 and b are 1.2 and 0.75 on disk"),
        ({"b": 0.4}, "k1 and b are 1.2 and 0.75 on disk"),
        ({"name": "Wiki", "backend": "elasticsearch", "url": "http://x"}, "lower case"),
        ({"b": 1.5}, "b:"),
    ],
)
def test_settings_that_do_not_fit_are_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        IndexSettings(**{"name": "towns", **given})


def test_odd_characters_come_back_as_they_were(server: ElasticServer, tmp_path: Path) -> None:
    odd = CorpusPassage("ü/1", "Zoë \u2028 “x”", 'a\nb\t"c" \x07 🦉')
    index = built(server, write_jsonl(tmp_path / "odd.jsonl", [odd]))
    assert [passage for _, passage in index.backend.passages()] == [odd]
