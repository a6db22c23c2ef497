"""A corpus index beside bm25s: building, memory, time of a search, what is found, and kills."""

import json
import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.spans import sentences
from pmi_kernel.data import load_examples
from pmi_kernel.retrieval.index.build import build
from pmi_kernel.retrieval.index.checking import check
from pmi_kernel.retrieval.index.on_disk import analyzer
from pmi_kernel.retrieval.index.passages import Corpus, CorpusPassage
from pmi_kernel.retrieval.index.settings import IndexSettings
from pmi_kernel.retrieval.index.store import open_index
from pmi_kernel.studies.bench.figures import show_figures

_K1, _B = 1.2, 0.75
_TOPK = 3
_BEAT_S = 0.05
_MOST_ASKED = 800
_PASSAGE_CHARS = 600

Figures = dict[str, float]
_SPAWN = multiprocessing.get_context("spawn")


def index(
    corpus: Path,
    questions: str = "",
    n: int = 1_000_000,
    kills: int = 20,
    seed: int = 0,
    out: Path | None = None,
) -> Figures:
    """A corpus index beside bm25s: building, memory, time of a search, what is found, and kills.

    Passages are made of the sentences of a corpus, drawn anew. Both sides read the same file, each
    in a process of its own, and end with an index on disk that has the texts too; bm25s splits and
    drops stop words in its own way, without stemming, which it is faster at. Then searches, one
    after another, at all passages and at a tenth; of the corpus as it is, the share of questions
    whose subject's passage is found (PopQA; both sides with the same analysis); and a build of a
    tenth that is killed again and again.

    Args:
        corpus: DPR's table or JSON lines.
        questions: Asked, of PopQA for the subject's passage; by default titles of the corpus.
        n: Passages.
        kills: Times that a build is killed.
        seed: Of what is drawn.
        out: Write the figures here too, as JSON.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("PMI_CACHE")
        os.environ["PMI_CACHE"] = folder
        try:
            return show_figures(_measured(corpus, questions, n, kills, seed, Path(folder)), out)
        finally:
            os.environ.pop("PMI_CACHE")
            if before is not None:
                os.environ["PMI_CACHE"] = before


def _measured(corpus: Path, questions: str, n: int, kills: int, seed: int, folder: Path) -> Figures:
    passages = list(Corpus([corpus]))
    asked = _questions(questions, passages)[:_MOST_ASKED]
    whole, tenth = folder / "whole.jsonl", folder / "tenth.jsonl"
    _recombine(passages, n, seed, whole, tenth)
    figures: Figures = {"passages": n, "text_mb": whole.stat().st_size / 1e6}
    figures |= _apart(_ours, whole, asked, "whole")
    figures |= _apart(_theirs, whole, asked, str(folder / "bm25s"))
    at_tenth = _apart(_ours, tenth, asked, "tenth")
    figures |= {
        "build_per_s_over_bm25s": figures["build_per_s"] / figures["bm25s_build_per_s"],
        "tenth_p50_ms": at_tenth["p50_ms"],
        "p50_over_tenth": figures["p50_ms"] / at_tenth["p50_ms"],
    }
    shutil.rmtree(folder / "bm25s")
    figures |= _killed(tenth, kills, at_tenth["build_s"], seed)
    if questions:
        figures |= _recall(corpus, passages, questions)
    return figures


def _questions(source: str, passages: Sequence[CorpusPassage]) -> list[str]:
    if source:
        return [example.task.question for example in load_examples(source)]
    return [passage.title or passage.text[:80] for passage in passages]


def _recombine(
    passages: Sequence[CorpusPassage], n: int, seed: int, whole: Path, tenth: Path
) -> None:
    """Write n passages of sentences drawn from all, each under a title that was drawn too."""
    drawn = random.Random(seed)
    pool = [one.text for passage in passages for one in sentences(passage.text)]
    with whole.open("w", encoding="utf-8") as file, tenth.open("w", encoding="utf-8") as first:
        for row in range(n):
            text = ""
            while len(text) < _PASSAGE_CHARS:
                text += f"{drawn.choice(pool)} "
            record = {"_id": str(row), "title": drawn.choice(passages).title, "text": text}
            line = json.dumps(record, ensure_ascii=False) + "\n"
            file.write(line)
            if row < n // 10:
                first.write(line)


# -- either side, in a process of its own ---------------------------------------------------------


def _apart(side: Callable[..., None], *given: object) -> Figures:
    """What a side tells from a process of its own, so that its memory is its own."""
    here, there = _SPAWN.Pipe()
    process = _SPAWN.Process(target=side, args=(there, *given))
    process.start()
    there.close()
    try:
        figures: Figures = here.recv()
    except EOFError:
        raise ConfigError(f"{side.__name__} ended without a figure; is the memory full?") from None
    finally:
        process.join()
    return figures


def _ours(there: Connection, file: Path, asked: Sequence[str], name: str) -> None:
    with _Peak() as peak:
        began = time.perf_counter()
        built = build(IndexSettings(name=name, min_free_gb=0), [file])
        build_s = time.perf_counter() - began
    found = open_index(name)
    told = {
        "build_s": build_s,
        "build_per_s": built.num_passages / build_s,
        **peak.figures(),
        **_searched(lambda query: found.search(query, _TOPK), asked),
    }
    there.send(told)


def _theirs(there: Connection, file: Path, asked: Sequence[str], folder: str) -> None:
    import bm25s

    with _Peak() as peak:
        began = time.perf_counter()
        texts = [f"{passage.title}\n{passage.text}" for passage in Corpus([file])]
        tokens = bm25s.tokenize(texts, stopwords="english", show_progress=False)
        found = bm25s.BM25(k1=_K1, b=_B)
        found.index(tokens, show_progress=False)
        found.save(folder, corpus=texts)
        build_s = time.perf_counter() - began

    def search(query: str) -> Any:
        wanted = bm25s.tokenize([query], stopwords="english", show_progress=False)
        return found.retrieve(wanted, k=_TOPK, show_progress=False)

    told = {
        "build_s": build_s,
        "build_per_s": len(texts) / build_s,
        **peak.figures(),
        **_searched(search, asked),
    }
    there.send({f"bm25s_{name}": value for name, value in told.items()})


def _searched(search: Callable[[str], object], asked: Sequence[str]) -> Figures:
    """Percentiles of the time of one search, in ms, after as many that do not count."""
    for query in asked[:100]:
        search(query)
    spent_s = []
    for query in asked:
        began = time.perf_counter()
        search(query)
        spent_s.append(time.perf_counter() - began)
    p50, p95 = np.percentile(spent_s, [50, 95]) * 1e3
    return {"p50_ms": float(p50), "p95_ms": float(p95)}


class _Peak:
    """Watches the memory of this process, in 10^6 bytes (Linux; elsewhere all of it counts).

    Its own is what it cannot give back; the most it had in all holds what it maps of files, too,
    which the system takes back where it needs it.
    """

    def __init__(self) -> None:
        self._is_over, self._own_mb = threading.Event(), 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Peak":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(_BEAT_S):
            self._own_mb = max(self._own_mb, _status_mb("RssAnon"))

    def figures(self) -> Figures:
        """Return the most that there was."""
        return {"build_own_mb": self._own_mb, "build_peak_mb": _status_mb("VmHWM")}


def _status_mb(name: str) -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition(f"{name}:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


# -- killed, and what is found --------------------------------------------------------------------


def _killed(file: Path, kills: int, build_s: float, seed: int) -> Figures:
    """Builds that are killed at any moment, then one that is not; is its index whole?"""
    drawn, num_kills = random.Random(seed), 0
    settings = IndexSettings(name="killed", min_free_gb=0, commit_every=2_000)
    while num_kills < kills:
        process = _SPAWN.Process(target=build, args=(settings, [file]))
        process.start()
        process.join(drawn.uniform(0.5, 1.5 + build_s / 5))
        num_kills += process.is_alive()
        is_done = not process.is_alive()
        process.kill()
        process.join()
        if is_done:  # it was whole before; begin anew
            shutil.rmtree(Path(os.environ["PMI_CACHE"]) / "index" / "killed")
    build(settings, [file])
    found = check("killed", Corpus([file]))
    return {"kills": num_kills, "whole_after_kills": float(not found.problems)}


def _recall(corpus: Path, passages: Sequence[CorpusPassage], questions: str) -> Figures:
    """The share of PopQA's questions whose subject's passage is among the best three."""
    import bm25s

    from pmi_kernel.data.limits import DataLimits
    from pmi_kernel.data.reading import DataFile

    build(IndexSettings(name="real", min_free_gb=0), [corpus])
    ours, split = open_index("real"), analyzer()
    theirs = bm25s.BM25(k1=_K1, b=_B)
    tokens = [split.analyze(f"{passage.title}\n{passage.text}") for passage in passages]
    theirs.index(tokens, show_progress=False)
    titles = {passage.title for passage in passages}
    hits = bm25s_hits = num = 0
    for raw in DataFile(Path(questions), DataLimits.from_environment()).records():
        assert isinstance(raw.value, dict)
        question, subject = raw.value.get("question", ""), raw.value.get("s_wiki_title")
        if subject not in titles:
            continue
        num += 1
        hits += subject in {hit.passage.title for hit in ours.search(question, _TOPK)}
        wanted = [word for word in split.analyze(question) if word in theirs.vocab_dict]
        if wanted:
            best = np.argsort(-theirs.get_scores(wanted), kind="stable")[:_TOPK]
            bm25s_hits += subject in {passages[row].title for row in best}
    return {
        "asked_for_subject": num,
        "recall_at_3": hits / max(1, num),
        "bm25s_recall_at_3": bm25s_hits / max(1, num),
    }
