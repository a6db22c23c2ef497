"""Questions of any data set with the passages that a search of a corpus finds, as one file.

It is the file of retrievable gradients' authors (`data.layouts.augmented`). What was found so far
is in `OUT.partial`, a record a line behind one that says what is searched, so that a search that
was killed goes on.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pmi_kernel.core import progress
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.records import read_lines
from pmi_kernel.core.settings import Settings
from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.data import Data, load_data
from pmi_kernel.data.layouts import LAYOUTS
from pmi_kernel.data.layouts.augmented import FOUND
from pmi_kernel.retrieval.base import Ranked
from pmi_kernel.retrieval.corpus import CorpusSearch

_ENCODED = json.JSONEncoder(ensure_ascii=False).encode


class AugmentSettings(Settings):
    """What is searched for what."""

    source: str
    """The questions: any data source."""
    index: str
    """The index to search, by its name."""
    topk: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Passages for each question."""
    allow_incomplete: bool = False
    """Search an index that lacks passages of its corpus, too."""
    only_gold: bool = False
    """Write of what was found the gold passages alone, and no question without one."""


@dataclass(frozen=True, slots=True)
class Augmented:
    """What a search of every question came to.

    Attributes:
        num: Questions.
        num_written: Those that the file has.
        num_before: Those that were searched before this call.
        num_short: Those for which fewer passages than asked for were found.
        num_gold: Those whose data set says which passages are gold.
        recall: Share of their gold passages among those that were found, in [0, 1]: the mean over
            the questions; None where none has any.
        all_found: Share of the questions all of whose gold passages were found; None as well.
    """

    num: int
    num_written: int
    num_before: int
    num_short: int
    num_gold: int
    recall: float | None
    all_found: float | None


def augment(settings: AugmentSettings, out: Path) -> Augmented:
    """Search for every question of a source, and write all of them with what was found.

    Args:
        settings: The questions, and what is searched for them.
        out: The file to write, which is there once it is whole.

    Raises:
        DataError: The questions cannot be read.
        ConfigError: There is no such index, it is not whole, or the file cannot be written or was
            begun with other questions, another index or another number of passages.
        Stopped: A stop was asked for; the same call goes on.
    """
    search = CorpusSearch(settings.index, is_incomplete_allowed=settings.allow_incomplete)
    data = load_data(settings.source)
    head = {
        "data_sha256": data.sha256,
        "ids": len(data.examples),
        "topk": settings.topk,
        **({"only_gold": True} if settings.only_gold else {}),
        **search.describe(),
    }
    partial = out.with_name(f"{out.name}.partial")
    with plainly(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        num_before = _begin(partial, head)
        counts = _search_all(search, data, settings, partial, num_before)
        num_written = _finish(partial, out, is_short_kept=not settings.only_gold)
    shares = [share for share, _ in counts if share is not None]
    num_gold = len(shares)
    return Augmented(
        num=len(data.examples),
        num_written=num_written,
        num_before=num_before,
        num_short=0 if settings.only_gold else sum(num < settings.topk for _, num in counts),
        num_gold=num_gold,
        recall=sum(shares) / num_gold if num_gold else None,
        all_found=sum(share == 1 for share in shares) / num_gold if num_gold else None,
    )


def _begin(partial: Path, head: Mapping[str, object]) -> int:
    """How many records were written before; a torn last line is cut off."""
    first = f"{_ENCODED(head)}\n".encode()
    lines = list(read_lines(partial)) if partial.exists() else []
    if not lines:
        partial.write_bytes(first)
        return 0
    if lines[0].text != first:
        raise ConfigError(
            f"{partial} was begun with other questions, another index or another topk; delete it, "
            "or write another file"
        )
    os.truncate(partial, lines[-1].offset + len(lines[-1].text))
    return len(lines) - 1


def _search_all(
    search: CorpusSearch, data: Data, settings: AugmentSettings, partial: Path, num_before: int
) -> list[tuple[float | None, int]]:
    """Write a record for each question, and return for each its recall and what was found."""
    counts: list[tuple[float | None, int]] = []
    with partial.open("r", encoding="utf-8") as written, partial.open("ab") as file:
        written.readline()
        for done, example in enumerate(data.examples, start=1):
            if done <= num_before:
                record = json.loads(written.readline())
            else:
                ranked = search.search(example.task.question, (), settings.topk)
                if settings.only_gold:
                    gold = {_folded(title) for title in example.gold.passages}
                    ranked = [one for one in ranked if _folded(one.paragraph.title) in gold]
                record = _record(example, ranked)
                file.write(f"{_ENCODED(record)}\n".encode())
                if done % 100 == 0:
                    file.flush()
            counts.append((_recall(example, record), len(record[FOUND])))
            progress.at("searching", done, len(data.examples))
    return counts


def _record(example: Example, ranked: Sequence[Ranked]) -> dict[str, Any]:
    task = replace(example.task, context=tuple(one.paragraph for one in ranked))
    return {
        **LAYOUTS["augmented"].write(replace(example, task=task)),
        FOUND: [
            {
                "id": one.source.partition("/")[2],
                "title": one.paragraph.title,
                "score": round(one.score, 4),
            }
            for one in ranked
        ],
    }


def _recall(example: Example, record: Mapping[str, Any]) -> float | None:
    """The share of a question's gold passages that were found, by title or by text."""
    titles = example.gold.passages
    gold = [one for one in example.task.context if one.title in titles]
    gold += [Paragraph(title, ()) for title in titles - {one.title for one in gold}]
    if not gold:
        return None
    found = {_folded(one["title"]) for one in record[FOUND]} - {""}
    texts = " ".join(" ".join(text.split()) for text in record.get("passages", ()))
    return sum(_is_found(one, found, texts) for one in gold) / len(gold)


def _is_found(gold: Paragraph, titles: set[str], texts: str) -> bool:
    return _folded(gold.title) in titles or (len(gold.text) > 0 and gold.text in texts)


def _folded(title: str) -> str:
    return " ".join(title.casefold().split())


def _finish(partial: Path, out: Path, *, is_short_kept: bool) -> int:
    """Write the records as one JSON array, whole or not at all; return how many they are."""
    whole, num = out.with_name(f"{out.name}.whole"), 0
    with partial.open(encoding="utf-8") as records, whole.open("w", encoding="utf-8") as file:
        records.readline()
        before = "[\n"
        for line in records:
            if is_short_kept or json.loads(line)[FOUND]:
                file.write(before + line.rstrip("\n"))
                before, num = ",\n", num + 1
        file.write("\n]\n" if num else "[]\n")
    os.replace(whole, out)
    partial.unlink()
    return num
