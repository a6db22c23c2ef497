"""An index on this machine's disk, by tantivy.

Title and text are two fields, analysed alike; a passage's score is the sum of its BM25 scores in
both.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from math import log
from pathlib import Path

import tantivy

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import describe
from pmi_kernel.retrieval.index.backend import K1, Hit
from pmi_kernel.retrieval.index.passages import CorpusPassage

ANALYSIS = "words, lower case, ascii folding, english stop words, english stemmer"
"""What becomes of a text before it is indexed or searched."""

_ANALYZER = "pmi_english"
_MOST_WORD_BYTES = 255
_FIELDS = ("title", "text")
_HEAP_BYTES, _THREADS = 100_000_000, 2
_PAGE = 10_000
_MORE = 16
_MANY, _FIRST_SHARE = 100_000, 0.1
"""Places of a query's terms at which not all are looked at, and the share that is looked at first.
"""
_ROUNDED = 0.999


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
                f"{self.folder}: {free / 1e9:.3g} GB are free, and {needed / 1e9:.3g} GB are "
                f"needed ({self._min_free_bytes / 1e9:g} GB of them are left free); make room, or "
                "put the cache on another disk ($PMI_CACHE)"
            )

    def search(self, query: str, k: int) -> list[Hit]:
        """See `Backend.search`."""
        with _plainly(self.folder):
            terms = self._terms(query)
            if not terms or k < 1:
                return []
            most = k + _MORE
            found = self._best(terms, most)
            # Which of equal ones are found depends on how the index was built, so all of them are.
            while len(found) == most and found[-1][0] == found[k - 1][0]:
                most *= 4
                found = self._best(terms, most)
            rows = self._searcher.fast_field_values("row", [place for _, place in found])
            ranked = sorted(
                (-score, int(row or 0), place)
                for (score, place), row in zip(found, rows, strict=True)
            )
            return [
                Hit(row, -minus, _passage(self._searcher.doc(place)))
                for minus, row, place in ranked[:k]
            ]

    def _terms(self, query: str) -> list["_Term"]:
        """The query's terms that are in the index, rarest first."""
        searcher, num, terms = self._searcher, self._searcher.num_docs, list[_Term]()
        for word, times in Counter(self._analyzer.analyze(query)).items():
            for field in _FIELDS:
                if num_with := searcher.doc_freq(field, word):
                    idf = log(1 + (num - num_with + 0.5) / (num_with + 0.5))
                    asked = tantivy.Query.term_query(self._schema, field, word, "freq")
                    if times > 1:
                        asked = tantivy.Query.boost_query(asked, times)
                    terms.append(_Term(num_with, times * idf * (K1 + 1), asked))
        return sorted(terms, key=lambda term: term.num_with)

    def _best(self, terms: Sequence["_Term"], most: int) -> list[tuple[float, tantivy.DocAddress]]:
        """The best passages by all terms; of a large index, not all that hold one are looked at.

        This is MaxScore (Turtle and Flood 1995), a query at a time: passages with one of the rarer
        terms are scored by all. What the others can add at most is less than the score of the last
        that was found, so that no other passage comes near; where it is not, all are scored.
        """
        sums = list(accumulate(term.num_with for term in terms))
        if sums[-1] > _MANY:
            num = max(1, sum(sum_ <= _FIRST_SHARE * sums[-1] for sum_ in sums))
            found = self._searcher.search(_any_of(terms, num), most, count=False).hits
            rest = sum(term.bound for term in terms[num:])
            if len(found) == most and rest < _ROUNDED * found[-1][0]:
                return found
        return self._searcher.search(_any_of(terms, len(terms)), most, count=False).hits

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


@dataclass(frozen=True, slots=True)
class _Term:
    """A word in a field: how many passages have it, the most that it adds to a score, its query."""

    num_with: int
    bound: float
    query: tantivy.Query


def _any_of(terms: Sequence[_Term], num: int) -> tantivy.Query:
    """The query for passages with one of the first terms; the others only add to their scores."""
    should, must = tantivy.Occur.Should, tantivy.Occur.Must
    wanted = tantivy.Query.boolean_query([(should, term.query) for term in terms[:num]])
    for term in terms[num:]:  # each by itself, so that it is looked up only where it can add
        wanted = tantivy.Query.boolean_query([(must, wanted), (should, term.query)])
    return wanted


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
    free = ""
    try:
        yield
    except (ValueError, OSError) as error:
        with suppress(OSError):
            free = f"{shutil.disk_usage(folder).free / 1e9:.3g} GB are free there; "
        raise ConfigError(
            f"{folder}: the index cannot be used ({describe(error)}); {free}where the disk is full "
            "make room and go on, where it is damaged drop it and build it again"
        ) from error
