"""An index on an Elasticsearch server, for whom one machine is too small, by the official client.

A passage's id on the server is its row, so that one which is sent twice is there once.
`$PMI_ELASTIC_API_KEY` is sent as the API key where it is set.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import describe
from pmi_kernel.retrieval.index.backend import Hit
from pmi_kernel.retrieval.index.passages import CorpusPassage

ANALYSIS = "standard tokenizer, lower case, ascii folding, english stop words, english stemmer"
"""What becomes of a text before it is indexed or searched."""

_ANALYZER = "pmi_english"
logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # what fails is raised as well

_BULK = 1000
_PAGE = 1000
_TIMEOUT_S = 120
_LEAST_FREE_SHARE = 0.1  # at 90 % its disk is over the high watermark, at 95 % it is read-only


class Elastic:
    """See `Backend`.

    Args:
        url: Of the server.
        name: Of the index there.
        k1: BM25's k1.
        b: BM25's b.
        min_free_bytes: Room on the server's disk that is never taken.

    Raises:
        ConfigError: The client is not installed.
    """

    def __init__(
        self, url: str, name: str, *, k1: float, b: float, min_free_bytes: int = 0
    ) -> None:
        try:
            from elasticsearch import Elasticsearch
        except ImportError:
            raise ConfigError(
                "an index on Elasticsearch needs its client: "
                "pip install 'pmi-workbench[elasticsearch]'"
            ) from None
        self._url, self._name, self._k1, self._b = url, name, k1, b
        self._min_free_bytes = min_free_bytes
        key = os.environ.get("PMI_ELASTIC_API_KEY")
        with self._plainly():
            self._client = Elasticsearch(url, api_key=key, request_timeout=_TIMEOUT_S)

    def count(self) -> int:
        """See `Backend.count`."""
        with self._plainly():
            if not self._is_there():
                return 0
            self._client.indices.refresh(index=self._name)
            return int(self._client.count(index=self._name)["count"])

    def _is_there(self) -> bool:
        """Whether the index is there, and is one that was built here."""
        if not self._client.indices.exists(index=self._name):
            return False
        told = self._client.indices.get_mapping(index=self._name)
        mappings = next(iter(told.values()))["mappings"]
        if mappings.get("_meta", {}).get("made_by") != "pmi-workbench":
            raise ConfigError(
                f"{self._url} has an index {self._name} that was not built here; name this one "
                "otherwise"
            )
        return True

    def writer(self, num_done: int) -> "_Writer":
        """See `Backend.writer`."""
        with self._plainly():
            if not self._is_there():
                self._client.indices.create(
                    index=self._name, settings=self._settings(), mappings=_MAPPINGS
                )
        return _Writer(self)

    def _settings(self) -> dict[str, Any]:
        return {
            "number_of_shards": 1,  # so that a word's frequency is that in the whole corpus
            "number_of_replicas": 0,
            "refresh_interval": "-1",
            "similarity": {"default": {"type": "BM25", "k1": self._k1, "b": self._b}},
            "analysis": {
                "filter": {
                    "pmi_stop": {"type": "stop", "stopwords": "_english_"},
                    "pmi_stemmer": {"type": "stemmer", "language": "english"},
                },
                "analyzer": {
                    _ANALYZER: {
                        "type": "custom",
                        "tokenizer": "standard",
                        "filter": ["lowercase", "asciifolding", "pmi_stop", "pmi_stemmer"],
                    }
                },
            },
        }

    def check_room(self, num_bytes: int) -> None:
        """See `Backend.check_room`; Elasticsearch itself stops above 90 % without a word."""
        with self._plainly():
            nodes = self._client.nodes.stats(metric="fs")["nodes"].values()
        disks = [node["fs"]["total"] for node in nodes if "fs" in node]
        if not disks:
            raise ConfigError(f"{self._url} does not tell how much room its disks have")
        disk = max(disks, key=lambda one: one["available_in_bytes"])
        free = disk["available_in_bytes"]
        least = max(self._min_free_bytes, _LEAST_FREE_SHARE * disk["total_in_bytes"])
        if free < num_bytes + least:
            raise ConfigError(
                f"{self._url}: {free / 1e9:.3g} GB are free, and {(num_bytes + least) / 1e9:.3g} "
                f"GB are needed ({least / 1e9:.3g} GB of them are left free, a tenth of the disk "
                "or more); make room there"
            )

    def send(self, waiting: list[tuple[int, CorpusPassage]]) -> None:
        """Store passages by their rows.

        Raises:
            ConfigError: One was refused, or the server does not confirm all.
        """
        operations: list[dict[str, Any]] = []
        for row, one in waiting:
            told = {"row": row, "id": one.id, "title": one.title, "text": one.text}
            operations += [{"index": {"_id": str(row)}}, told]
        with self._plainly():
            answer = self._client.bulk(index=self._name, operations=operations)
        done = [item["index"] for item in answer["items"]]
        refused = [one for one in done if one.get("status") not in (200, 201)]
        if answer["errors"] or refused or len(done) != len(waiting):
            why = refused[0].get("error", {}) if refused else {}
            raise ConfigError(
                f"{self._url} stored {len(done) - len(refused):,} of {len(waiting):,} passages of "
                f"{self._name} ({why.get('type', 'no reason given')}: {why.get('reason', '')}); "
                "mend that and go on with the same command"
            )

    def opened(self) -> None:
        """Let what was stored be searched, and the server refresh by itself again."""
        with self._plainly():
            self._client.indices.put_settings(
                index=self._name, settings={"index": {"refresh_interval": None}}
            )
            self._client.indices.refresh(index=self._name)

    def search(self, query: str, k: int) -> list[Hit]:
        """See `Backend.search`."""
        match = [{"match": {field: {"query": query}}} for field in ("title", "text")]
        return self._found(
            query={"bool": {"should": match}},
            size=k,
            sort=[{"_score": "desc"}, {"row": "asc"}],
        )

    def _found(self, **asked: Any) -> list[Hit]:
        with self._plainly():
            answer = self._client.search(index=self._name, track_total_hits=False, **asked)
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise ConfigError(
                f"{self._url} searched only part of {self._name} ({answer['_shards']['failed']} of "
                f"{answer['_shards']['total']} shards failed); see to the server and go on"
            )
        return [_hit(**hit["_source"], score=hit["_score"]) for hit in answer["hits"]["hits"]]

    def passages(self) -> Iterator[tuple[int, CorpusPassage]]:
        """See `Backend.passages`."""
        after: dict[str, Any] = {}
        while True:
            page = self._found(query={"match_all": {}}, size=_PAGE, sort=[{"row": "asc"}], **after)
            if not page:
                return
            yield from ((hit.row, hit.passage) for hit in page)
            after = {"search_after": [page[-1].row]}

    def drop(self) -> None:
        """See `Backend.drop`."""
        with self._plainly():
            if self._is_there():
                self._client.indices.delete(index=self._name)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        from elasticsearch import ApiError, TransportError

        try:
            yield
        except (ApiError, TransportError, ValueError) as error:
            raise ConfigError(
                f"{self._url}: Elasticsearch could not do it ({describe(error)}); see to the "
                "server and give the same command again"
            ) from error


def _hit(row: int, id: str, title: str, text: str, score: float | None) -> Hit:
    return Hit(row, score or 0.0, CorpusPassage(id, title, text))


class _Writer:
    def __init__(self, index: Elastic) -> None:
        self._index = index
        self._waiting: list[tuple[int, CorpusPassage]] = []

    def add(self, row: int, passage: CorpusPassage) -> None:
        self._waiting.append((row, passage))
        if len(self._waiting) == _BULK:
            self.commit()

    def commit(self) -> None:
        if self._waiting:
            self._index.send(self._waiting)
            self._waiting = []

    def close(self) -> None:
        self._index.opened()


_MAPPINGS: dict[str, Any] = {
    "dynamic": "strict",
    "_meta": {"made_by": "pmi-workbench"},
    "properties": {
        "row": {"type": "integer"},
        "id": {"type": "keyword", "index": False, "doc_values": False},
        "title": {"type": "text", "analyzer": _ANALYZER},
        "text": {"type": "text", "analyzer": _ANALYZER},
    },
}
