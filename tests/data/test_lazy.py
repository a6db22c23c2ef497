"""Examples are read when they are asked for: a hundred thousand take little memory."""

import gzip
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pmi_kernel.core.errors import DataError
from pmi_kernel.data import Examples, load_data, load_examples, load_stream, write_examples
from pmi_kernel.data.layouts import LAYOUTS

PARENT = """
import re, sys
from pathlib import Path
from pmi_kernel.runs import RunSettings
from pmi_kernel.runs.run import Run
from pmi_kernel.systems.baselines.config import InContextConfig

out = Path(sys.argv[2])
out.mkdir()
run = Run(RunSettings(data=sys.argv[1], out=out), InContextConfig(engine="scripted"))
status = Path("/proc/self/status").read_text()  # getrusage tells the parent's as well
print(len(run.pending), int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024)
"""


def parent(source: str, out: Path) -> tuple[int, float]:
    """How many questions a batch parent has, and the most memory that it took, in MB."""
    words = [sys.executable, "-c", PARENT, source, str(out)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return int(said[0]), float(said[1])


def questions(path: Path, count: int, paragraphs: int) -> Path:
    context = [[f"T{place}", ["A sentence of a paragraph. "] * 12] for place in range(paragraphs)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            record = {
                "_id": f"5ab322b15542991{number:09x}",
                "question": f"Which of the things that are called {number} was there first?",
                "answer": f"thing {number}",
                "context": context,
            }
            file.write(json.dumps(record) + "\n")
    return path


def test_a_parent_of_100000_questions_takes_little_and_no_more_for_long_paragraphs(
    tmp_path: Path,
) -> None:
    short = questions(tmp_path / "short.jsonl", 100_000, 1)
    long = questions(tmp_path / "long.jsonl", 5_000, 60)
    few = questions(tmp_path / "few.jsonl", 5_000, 1)
    count, most_mb = parent(str(short), tmp_path / "a")
    assert count == 100_000
    assert most_mb < 150
    count, shifted_mb = parent(f"shift:first:20000:{short}", tmp_path / "b")
    assert count == 20_000
    assert shifted_mb < 150
    (_, long_mb), (_, few_mb) = parent(str(long), tmp_path / "c"), parent(str(few), tmp_path / "d")
    assert long_mb < few_mb + 10


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_zipped", [False, True])
def test_any_example_is_read_by_its_place_and_by_its_id(
    tmp_path: Path, layout: str, is_zipped: bool
) -> None:
    path = tmp_path / f"x{LAYOUTS[layout].suffix}{'.gz' if is_zipped else ''}"
    write_examples(load_examples("world:n=40,paragraphs=3,mentions=paraphrased"), path, layout)
    whole, lazy = load_examples(path), load_data(path).examples
    assert lazy[-1] == whole[-1]
    assert [lazy.by_id(id_) for id_ in reversed(lazy.ids)] == whole[::-1]
    assert list(lazy[5:30:7]) == whole[5:30:7]
    assert lazy[5:30:7].by_id(whole[12].task.id) == whole[12]
    with pytest.raises(KeyError):
        lazy.by_id("none")
    with pytest.raises(IndexError):
        lazy[40]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r\n\r\n"])
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".tsv"])
def test_a_place_is_in_bytes_whatever_stands_before_it(
    tmp_path: Path, mark: str, newline: str, suffix: str
) -> None:
    rows = [(str(n), f"Où est le №{n} \U0001f600?", f"là-bas {n}") for n in range(30)]
    records = [dict(zip(("test_id", "question", "answer"), row, strict=True)) for row in rows]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    if suffix == ".tsv":
        table = ["\t".join(("test_id", "question", "answer")), *map("\t".join, rows)]
        text = newline.join([*table, ""])
    elif suffix == ".json":
        text = f" [{newline}{f' ,{newline}'.join(lines)}]"
    else:
        text = newline.join(lines)
    for path, content in (
        (tmp_path / f"x{suffix}", (mark + text).encode()),
        (tmp_path / f"x{suffix}.gz", gzip.compress((mark + text).encode())),
    ):
        path.write_bytes(content)
        found = load_data(path).examples
        assert [one.task.question for one in found] == [row[1] for row in rows]
        assert found.by_id("17").gold.answers == ("là-bas 17",)


def test_threads_may_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    examples = load_examples("world:n=60,paragraphs=4")
    write_examples(examples, path)
    lazy = load_data(path).examples
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lazy.by_id, lazy.ids * 5)) == examples * 5


def test_a_file_that_is_replaced_meanwhile_is_read_as_it_was(tmp_path: Path) -> None:
    path, other = tmp_path / "x.json", tmp_path / "y.json"
    write_examples(load_examples("world:n=5"), path)
    data = load_data(path)
    write_examples(load_examples("world:n=5,seed=1"), other)
    other.replace(path)
    assert list(data.examples) == load_examples("world:n=5")
    assert data.sha256 != load_data(path).sha256


def test_a_file_that_is_written_over_meanwhile_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_examples(load_examples("world:n=5"), path)
    examples = load_data(path).examples
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(DataError, match="changed while it was used"):
        examples[2]


def test_no_file_stays_open_when_the_examples_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_examples(load_examples("world:n=5"), path)
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir()))
    for _ in range(20):
        assert load_data(path).examples[0]
    assert len(list(folder.iterdir())) == before


def test_what_is_held_already_is_examples_too() -> None:
    held = load_examples("world:n=4")
    examples = Examples.of(held)
    assert list(examples) == held
    assert Examples.of(examples) is examples
    assert list(load_stream("first:2:world:n=4")) == held[:2]
