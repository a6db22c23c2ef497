"""Small corpora for tests, and a build in a process of its own."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random

from pmi_kernel.retrieval.index.passages import CorpusPassage

WORDS = (
    "river bridge tower market harbour castle garden railway museum library valley forest mill "
    "theatre college island abbey quarry orchard lighthouse"
).split()


def made(num: int, seed: int = 0) -> list[CorpusPassage]:
    """Passages of common words, each with one that no other has."""
    random = Random(seed)
    return [
        CorpusPassage(
            f"p{row}",
            f"{random.choice(WORDS).title()} {row}",
            f"unique{row} {' '.join(random.choices(WORDS, k=30))}.",
        )
        for row in range(num)
    ]


def write_jsonl(path: Path, passages: Iterable[CorpusPassage]) -> Path:
    lines = (
        json.dumps({"_id": one.id, "title": one.title, "text": one.text}, ensure_ascii=False)
        for one in passages
    )
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def write_tsv(path: Path, passages: Iterable[CorpusPassage]) -> Path:
    """As `psgs_w100.tsv` is written: the text in quotes, those in it doubled."""
    rows = [
        "id\ttext\ttitle",
        *(
            '{}\t"{}"\t{}'.format(one.id, one.text.replace('"', '""'), one.title)
            for one in passages
        ),
    ]
    content = "".join(f"{row}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


_BUILD = """
import sys
from pathlib import Path
from pmi_kernel.retrieval.index.build import build
from pmi_kernel.retrieval.index.settings import IndexSettings
settings = IndexSettings(name=sys.argv[1], commit_every=int(sys.argv[3]), min_free_gb=0)
tell = lambda built: print(built.num_passages, flush=True)
build(settings, [Path(sys.argv[2])], on_progress=tell)
"""


def build_until(name: str, corpus: Path, commit_every: int, num_told: int) -> bool:
    """Build in another process, kill it once it told so often how far it is; whether it lived."""
    words = [sys.executable, "-c", _BUILD, name, str(corpus), str(commit_every)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [line for _, line in zip(range(num_told), process.stdout, strict=False)]
        process.kill()
        return len(told) < num_told
