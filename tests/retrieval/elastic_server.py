"""A loopback server that takes Elasticsearch's requests as its API is published, and no others.

See the reference at https://www.elastic.co/docs/api/doc/elasticsearch: create, get mapping,
settings, bulk, refresh, count, search, delete, and node statistics.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from typing import Any

_JSON = "application/vnd.elasticsearch+json; compatible-with="
_LINES = "application/vnd.elasticsearch+x-ndjson; compatible-with="
_SETTINGS = {"number_of_shards", "number_of_replicas", "refresh_interval", "similarity", "analysis"}
_SEARCH = {"query", "size", "sort", "search_after", "track_total_hits"}
_GIGABYTE = 10**9


class RefusedError(Exception):
    """A request that the API does not have; what a server would say."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.kind = status, kind


class ElasticServer(ThreadingHTTPServer):
    """The server and what it holds.

    Attributes:
        indices: Documents by id, in each index; those that were refreshed are searched.
        created: The body that each index was created with.
        free_gb: Of its disk of 100 GB.
        full_after: Passages that it stores before its disk is full; None: any number.
        failed_shards: What it says of a search.
        num_bulks: Requests of that kind.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.indices: dict[str, dict[str, dict[str, Any]]] = {}
        self.searched: dict[str, dict[str, dict[str, Any]]] = {}
        self.created: dict[str, dict[str, Any]] = {}
        self.free_gb = 50.0
        self.full_after: int | None = None
        self.failed_shards = 0
        self.num_bulks = 0
        self.num_lost = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ElasticServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(200 if self.path.strip("/") in self.server.indices else 404, None)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._answer(200, self._dispatch(self.path.split("?")[0].strip("/"), body))
        except RefusedError as error:
            told = {"type": error.kind, "reason": str(error)}
            self._answer(error.status, {"error": told, "status": error.status})

    def _dispatch(self, path: str, body: bytes) -> object:
        server, method = self.server, self.command
        if (method, path) == ("GET", "_nodes/stats/fs"):
            free, total = int(server.free_gb * _GIGABYTE), 100 * _GIGABYTE
            disk = {"total_in_bytes": total, "available_in_bytes": free, "free_in_bytes": free}
            return {"nodes": {"n1": {"fs": {"total": disk}}, "master": {}}}
        name, _, verb = path.partition("/")
        if (method, verb) == ("PUT", ""):
            return self._create(name, self._json(body))
        if name not in server.indices:
            raise RefusedError(404, "index_not_found_exception", f"no such index [{name}]")
        match method, verb:
            case "GET", "_mapping":
                return {name: {"mappings": server.created[name]["mappings"]}}
            case "PUT", "_settings":
                if set(self._json(body)) != {"index"}:
                    raise RefusedError(400, "illegal_argument_exception", "unknown setting")
                return {"acknowledged": True}
            case "POST", "_refresh":
                server.searched[name] = dict(server.indices[name])
                return {"_shards": {"total": 1, "successful": 1, "failed": 0}}
            case (("GET" | "POST"), "_count"):
                return {"count": len(server.searched[name]) - server.num_lost}
            case (("PUT" | "POST"), "_bulk"):
                return self._bulk(name, body)
            case "POST", "_search":
                return self._search(name, self._json(body))
            case "DELETE", "":
                del server.indices[name]
                return {"acknowledged": True}
        raise RefusedError(405, "method_not_allowed", f"{method} /{path}")

    def _json(self, body: bytes) -> dict[str, Any]:
        if not self.headers.get("Content-Type", "").startswith(_JSON):
            raise RefusedError(406, "media_type_header_exception", "Content-Type is not supported")
        told: dict[str, Any] = json.loads(body)
        return told

    def _create(self, name: str, told: dict[str, Any]) -> object:
        if name in self.server.indices:
            raise RefusedError(400, "resource_already_exists_exception", f"index [{name}] exists")
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise RefusedError(400, "invalid_index_name_exception", "must be lowercase")
        unknown = set(told) - {"settings", "mappings", "aliases"}
        unknown |= set(told["settings"]) - _SETTINGS
        analysis = told["settings"]["analysis"]
        for analyzer in analysis["analyzer"].values():
            built_in = {"lowercase", "asciifolding"}
            unknown |= set(analyzer["filter"]) - set(analysis["filter"]) - built_in
        for field in told["mappings"]["properties"].values():
            if field["type"] == "text" and field["analyzer"] not in analysis["analyzer"]:
                unknown.add(field["analyzer"])
        similarity = told["settings"]["similarity"]["default"]
        if unknown or similarity["type"] != "BM25" or not 0 <= similarity["b"] <= 1:
            raise RefusedError(400, "illegal_argument_exception", f"unknown setting {unknown}")
        self.server.indices[name], self.server.searched[name] = {}, {}
        self.server.created[name] = told
        return {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def _bulk(self, name: str, body: bytes) -> object:
        server = self.server
        server.num_bulks += 1
        if not self.headers.get("Content-Type", "").startswith(_LINES) or body[-1:] != b"\n":
            raise RefusedError(400, "illegal_argument_exception", "not newline delimited")
        lines = [json.loads(line) for line in body.splitlines()]
        fields = server.created[name]["mappings"]["properties"]
        items, held = [], server.indices[name]
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            if set(action) != {"index"} or set(action["index"]) - {"_id", "_index"}:
                raise RefusedError(400, "illegal_argument_exception", f"malformed action {action}")
            if set(document) - set(fields):
                raise RefusedError(400, "strict_dynamic_mapping_exception", "not allowed")
            id_ = action["index"]["_id"]
            if server.full_after is not None and len(held) >= server.full_after:
                error = {
                    "type": "cluster_block_exception",
                    "reason": "disk usage exceeded flood-stage watermark",
                }
                items.append({"index": {"_id": id_, "status": 429, "error": error}})
                continue
            items.append({"index": {"_id": id_, "status": 200 if id_ in held else 201}})
            held[id_] = document
        return {"errors": any("error" in i["index"] for i in items), "took": 1, "items": items}

    def _search(self, name: str, told: dict[str, Any]) -> object:
        if set(told) - _SEARCH or not 0 <= told["size"] <= 10_000:
            raise RefusedError(400, "parsing_exception", "unknown key")
        documents = self.server.searched[name].values()
        by_row = sorted(documents, key=lambda one: one["row"])
        if "match_all" in told["query"]:
            if told["sort"] != [{"row": "asc"}]:
                raise RefusedError(400, "parsing_exception", "not sorted")
            (after,) = told.get("search_after", [-1])
            found = [(None, one) for one in by_row if one["row"] > after]
        else:
            clauses = told["query"]["bool"]["should"]
            wanted = {
                field: _words(match["query"])
                for clause in clauses
                for field, match in clause["match"].items()
            }
            counts = Counter(
                word for one in by_row for word in set(_words(f"{one['title']} {one['text']}"))
            )
            scored = [(_score(one, wanted, counts, len(by_row)), one) for one in by_row]
            ranked = [(score, one) for score, one in scored if score > 0]
            if told["sort"] != [{"_score": "desc"}, {"row": "asc"}]:
                raise RefusedError(400, "parsing_exception", "not sorted")
            found = sorted(ranked, key=lambda one: -one[0])  # type: ignore[assignment]
        shards = {"total": 1, "successful": 1, "skipped": 0, "failed": self.server.failed_shards}
        hits = [
            {"_index": name, "_id": str(one["row"]), "_score": score, "_source": one}
            for score, one in found[: told["size"]]
        ]
        return {"took": 1, "timed_out": False, "_shards": shards, "hits": {"hits": hits}}

    def _answer(self, status: int, told: object) -> None:
        body = b"" if told is None else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/vnd.elasticsearch+json;compatible-with=9")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _score(
    one: dict[str, Any], wanted: dict[str, list[str]], counts: Counter[str], num: int
) -> float:
    """Not BM25, but the rarer the higher; enough to tell passages apart."""
    return sum(
        log(1 + num / counts[word])
        for field, words in wanted.items()
        for word in words
        if word in _words(one[field])
    )


@contextmanager
def serving() -> Iterator[ElasticServer]:
    """A server on loopback."""
    with ElasticServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
