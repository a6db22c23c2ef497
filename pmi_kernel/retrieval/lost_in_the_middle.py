"""Lost in the Middle (Liu et al. 2023): the gold document at a place among distractors.

Files and rows are those of the official release, whose distractors are the best passages by
Contriever that hold no answer; these are the best by BM25, and of other pages than the gold one. A
field `about` of the first row says so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from typing import Any

from pmi_kernel.core import progress
from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.data.layouts import LAYOUTS
from pmi_kernel.data.layouts.fields import Fields
from pmi_kernel.data.limits import DataLimits
from pmi_kernel.data.reading import DataFile
from pmi_kernel.retrieval.index.backend import Hit
from pmi_kernel.retrieval.index.store import Index, open_index

_MOST_SEARCHED = 10_000


@dataclass(frozen=True, slots=True)
class Placed:
    """What was written.

    Attributes:
        files: A file for each place of the gold document.
        num: Rows of each.
        left_out: Questions for which the index has too few passages without an answer.
    """

    files: tuple[Path, ...]
    num: int
    left_out: tuple[str, ...]


def build_nq_lim(
    oracle: Path, index: str, folder: Path, *, num_docs: int, gold_at: Sequence[int]
) -> Placed:
    """Write the questions of an oracle file with the gold document at each of some places.

    Args:
        oracle: `nq-open-oracle.jsonl.gz`, in the official layout.
        index: The index that distractors are searched in.
        folder: Where the files go; each is there once it is whole.
        num_docs: Documents of a question.
        gold_at: Places of the gold document, from 0.

    Raises:
        DataError: The oracle file cannot be read, or a row has not one gold document.
        ConfigError: A place is not among the documents, there is no such index, or the files
            cannot be written.
    """
    wrong = [place for place in gold_at if not 0 <= place < num_docs]
    if wrong or not gold_at or len(set(gold_at)) < len(gold_at):
        raise ConfigError(
            f"gold_at is {', '.join(map(str, gold_at)) or 'empty'}: name places of the gold "
            f"document from 0 to {num_docs - 1}, each once"
        )
    searched = open_index(index)
    paths = [
        folder / f"nq-open-{num_docs}_total_documents_gold_at_{place}.jsonl.gz" for place in gold_at
    ]
    partial = [path.with_name(f"{path.name}.partial") for path in paths]
    about = {
        "what": "Lost in the Middle, multi-document question answering (Liu et al. 2023)",
        "distractors": "the best passages by BM25 that hold no answer and have another title than "
        "the gold document; the authors took Contriever",
        "index": searched.name,
        "index_sha256": searched.sha256,
    }
    num, left_out = 0, list[str]()
    with plainly(folder), ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        # Without a name and a time in it, the same rows are the same bytes.
        raw = [stack.enter_context(path.open("wb")) for path in partial]
        files = [stack.enter_context(GzipFile("", "wb", fileobj=one, mtime=0)) for one in raw]
        for row, gold in _rows(oracle):
            progress.at("searching", num + len(left_out))
            others = _distractors(searched, row, gold, num_docs - 1)
            if len(others) < num_docs - 1:
                left_out.append(row["question"])
                continue
            for place, file in zip(gold_at, files, strict=True):
                documents = [*others[:place], gold, *others[place:]]
                told = {"about": about} if num == 0 else {}
                file.write(f"{json.dumps({**row, 'ctxs': documents, **told})}\n".encode())
            num += 1
    if not num:
        raise ConfigError(
            f"the index {index} has too few passages without an answer for any question of "
            f"{oracle}; take fewer documents, or a larger corpus"
        )
    with plainly(folder):
        for path, whole in zip(partial, paths, strict=True):
            path.replace(whole)
    return Placed(tuple(paths), num, tuple(left_out))


def _rows(oracle: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each row as it stands, with its gold document."""
    limits = DataLimits.from_environment()
    for raw in DataFile(oracle, limits).records():
        LAYOUTS["nq_lim"].parse(Fields(raw.value, raw.where, limits))  # or it says what is wrong
        assert isinstance(raw.value, dict)
        gold = [one for one in raw.value["ctxs"] if one.get("isgold")]
        if len(gold) != 1:
            raise DataError(
                f"{raw.where}, field 'ctxs': expected one document that is gold, found {len(gold)}"
            )
        yield raw.value, gold[0]


def _distractors(
    index: Index, row: Mapping[str, Any], gold: Mapping[str, Any], num: int
) -> list[dict[str, Any]]:
    """The best passages of other pages that hold no answer; at most `num`."""
    answers = {normalize_answer(answer) for answer in row["answers"]} - {""}
    most = 2 * num
    while True:
        hits = index.search(row["question"], most)
        found = [hit for hit in hits if not _tells(hit, answers, gold["title"])]
        if len(found) >= num or len(hits) < most or most >= _MOST_SEARCHED:
            return [_document(hit) for hit in found[:num]]
        most *= 4


def _tells(hit: Hit, answers: set[str], gold: str) -> bool:
    passage = hit.passage
    text = f" {normalize_answer(f'{passage.title} {passage.text}')} "
    return any(f" {answer} " in text for answer in answers) or passage.title == gold


def _document(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {
        "id": passage.id,
        "title": passage.title,
        "text": passage.text,
        "score": round(hit.score, 4),
        "hasanswer": False,
        "isgold": False,
    }
