"""An index on this machine's disk, by tantivy.

Title and text are two fields, analysed alike; a passage's score is the sum of its BM25 scores in
both.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tantivy

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import describe
from pmi_kernel.retrieval.index.backend import Hit
from pmi_kernel.retrieval.index.passages import CorpusPassage

ANALYSIS = "words, lower case, ascii folding, english stop words, english stemmer"
"""What becomes of a text before it is indexed or searched."""

_ANALYZER = "pmi_english"
_MOST_WORD_BYTES = 255
_FIELDS = ("title", "text")
_HEAP_BYTES, _THREADS = 100_000_000, 2
_PAGE = 10_000
_MORE = 16


def analyzer() -> tantivy.TextAnalyzer:
    """Return the analysis of `ANALYSIS`."""
    steps = tantivy.Filter
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(steps.remove_long(_MOST_WORD_BYTES))
        .filter(steps.lowercase())
        .filter(steps.ascii_fold())
        .filter(steps.stopword("english"))
        .filter(steps.stemmer("english"))
        .build()
    )


class OnDisk:
    """See `Backend`.

    Args:
        folder: Where it is; made where it is not there.
        min_free_bytes: Room on the disk that is never taken.

    Raises:
        ConfigError: The folder holds no index that can be read.
    """

    def __init__(self, folder: Path, *, min_free_bytes: int = 0) -> None:
        self.folder, self._min_free_bytes = folder, min_free_bytes
        self._analyzer = analyzer()
        schema = tantivy.SchemaBuilder()
        for field in _FIELDS:
            schema.add_text_field(field, stored=True, tokenizer_name=_ANALYZER, index_option="freq")
        schema.add_bytes_field("id", stored=True)
        schema.add_integer_field("row", fast=True)
        self._schema = schema.build()
        with _plainly(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._index = tantivy.Index(self._schema, str(folder))
            self._index.register_tokenizer(_ANALYZER, self._analyzer)
            self._searcher = self._index.searcher()

    def count(self) -> int:
        """See `Backend.count`."""
        with _plainly(self.folder):
            self._index.reload()
        self._searcher = self._index.searcher()
        return self._searcher.num_docs

    def writer(self, num_done: int) -> "_Writer":
        """See `Backend.writer`."""
        assert num_done == self.count()
        with _plainly(self.folder):
            return _Writer(self._index.writer(_HEAP_BYTES, _THREADS), self.folder)

    def check_room(self, num_bytes: int) -> None:
        """See `Backend.check_room`."""
        free, needed = shutil.disk_usage(self.folder).free, num_bytes + self._min_free_bytes
        if free < needed:
            raise ConfigError(
                f"{self.folder}: {free / 1e9:.1f} GB are free, and {needed / 1e9:.1f} GB are "
                f"needed ({self._min_free_bytes / 1e9:g} GB of them are left free); make room, or "
                "put the cache on another disk ($PMI_CACHE)"
            )

    def search(self, query: str, k: int) -> list[Hit]:
        """See `Backend.search`."""
        clauses = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, field, word, "freq"))
            for word in self._analyzer.analyze(query)
            for field in _FIELDS
        ]
        if not clauses or k < 1:
            return []
        wanted, searcher = tantivy.Query.boolean_query(clauses), self._searcher
        with _plainly(self.folder):
            most = k + _MORE
            found = searcher.search(wanted, most, count=False).hits
            # Which of equal ones are found depends on how the index was built, so all of them are.
            while len(found) == most and found[-1][0] == found[k - 1][0]:
                most *= 4
                found = searcher.search(wanted, most, count=False).hits
            rows = searcher.fast_field_values("row", [place for _, place in found])
            ranked = sorted(
                (-score, int(row or 0), place)
                for (score, place), row in zip(found, rows, strict=True)
            )
            return [
                Hit(row, -minus, _passage(searcher.doc(place))) for minus, row, place in ranked[:k]
            ]

    def passages(self) -> Iterator[tuple[int, CorpusPassage]]:
        """See `Backend.passages`."""
        first, last = self._rows()
        integer = tantivy.FieldType.Integer
        for start in range(first, last + 1, _PAGE):
            with _plainly(self.folder):
                page = tantivy.Query.range_query(
                    self._schema, "row", integer, start, start + _PAGE, include_upper=False
                )
                hits = self._searcher.search(page, 2 * _PAGE, count=False).hits
                places = [place for _, place in hits]
                rows = self._searcher.fast_field_values("row", places)
                told = [
                    (int(row or 0), _passage(self._searcher.doc(place)))
                    for row, place in zip(rows, places, strict=True)
                ]
            yield from told

    def _rows(self) -> tuple[int, int]:
        """The first and the last row; of an empty index, 0 and -1."""
        if not self.count():
            return 0, -1
        asked = {"rows": {"stats": {"field": "row"}}}
        found = self._searcher.aggregate(tantivy.Query.all_query(), asked)["rows"]
        return int(found["min"]), int(found["max"])

    def drop(self) -> None:
        """See `Backend.drop`."""
        shutil.rmtree(self.folder)


class _Writer:
    def __init__(self, writer: tantivy.IndexWriter, folder: Path) -> None:
        self._writer, self._folder = writer, folder

    def add(self, row: int, passage: CorpusPassage) -> None:
        with _plainly(self._folder):
            self._writer.add_document(
                tantivy.Document(
                    id=passage.id.encode(), title=passage.title, text=passage.text, row=row
                )
            )

    def commit(self) -> None:
        with _plainly(self._folder):
            self._writer.commit()

    def close(self) -> None:
        with _plainly(self._folder):
            self._writer.wait_merging_threads()


def _passage(document: tantivy.Document) -> CorpusPassage:
    id_, title, text = (document.get_first(field) for field in ("id", "title", "text"))
    return CorpusPassage(bytes(id_ or b"").decode(), str(title), str(text))


@contextmanager
def _plainly(folder: Path) -> Iterator[None]:
    """Say in one line what cannot be done; tantivy raises a `ValueError` for any failure."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{folder}: the index cannot be used ({describe(error)}); where the disk is full make "
            "room and go on, where it is damaged drop it and build it again"
        ) from error
