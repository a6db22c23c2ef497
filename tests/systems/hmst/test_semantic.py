"""The vector store: the same as one that compares everything, whatever is done to it."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from pmi_kernel.core.errors import ConfigError, DataError
from pmi_kernel.systems.hmst import SemanticMemory
from pmi_kernel.systems.hmst.memory.semantic import SNAPSHOT, Indexing

DIMENSION = 16
SMALL = Indexing(train_after=256, num_lists=8, num_probes=8, code_bytes=4, candidates=1_000)
"""Looks everywhere and compares everything, so an inverted file is exact too."""


def drawn(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)


def filled(path: Path | None, count: int, indexing: Indexing = SMALL) -> SemanticMemory:
    memory = SemanticMemory(DIMENSION, path, indexing=indexing)
    memory.add([f"text {number}" for number in range(count)], drawn(count))
    return memory


class Everything:
    """What a store must be the same as."""

    def __init__(self) -> None:
        self.entries: dict[int, tuple[str, np.ndarray]] = {}

    def add(self, ids: list[int], texts: list[str], vectors: np.ndarray) -> None:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.entries |= dict(zip(ids, zip(texts, unit, strict=True), strict=True))

    def remove(self, ids: list[int]) -> int:
        return sum(self.entries.pop(one, None) is not None for one in ids)

    def search(self, vector: np.ndarray, k: int) -> list[tuple[int, str]]:
        unit = vector / np.linalg.norm(vector)
        ranked = sorted(self.entries, key=lambda one: -float(self.entries[one][1] @ unit))
        return [(one, self.entries[one][0]) for one in ranked[:k]]


def same(memory: SemanticMemory, known: Everything, seed: int) -> bool:
    queries = drawn(3, seed)
    found = memory.search(queries, 5)
    return len(memory) == len(known.entries) and all(
        [(hit.id, hit.text) for hit in hits] == known.search(query, 5)
        for hits, query in zip(found, queries, strict=True)
    )


@pytest.mark.parametrize("seed", range(3))
def test_it_holds_what_one_holds_that_compares_everything(tmp_path: Path, seed: int) -> None:
    draw, known, number = Random(seed), Everything(), 0
    memory, compressed = SemanticMemory(DIMENSION, tmp_path / "a", indexing=SMALL), 0
    for step in range(600):
        match draw.choices(
            ("add", "remove", "search", "save", "reopen", "move"), (8, 3, 6, 1, 1, 0.2)
        )[0]:
            case "add":
                texts = [f"text {number + more}" for more in range(draw.choice((1, 2, 30)))]
                vectors = drawn(len(texts), 10_000 * seed + step)
                known.add(memory.add(texts, vectors), texts, vectors)
                number += len(texts)
            case "remove":
                ids = [draw.randint(1, number + 1) for _ in range(draw.choice((1, 5, 40)))]
                assert memory.remove_ids(ids) == known.remove(ids)
            case "search":
                assert same(memory, known, step)
            case "save":
                memory.save()
            case "reopen":
                memory.close()
                memory = SemanticMemory(DIMENSION, tmp_path / "a", indexing=SMALL)
            case "move":
                memory.save(tmp_path / "b")
                with SemanticMemory(DIMENSION, tmp_path / "b", indexing=SMALL) as copy:
                    assert same(copy, known, step)
        compressed += memory.is_compressed
    assert same(memory, known, 1)
    assert 0 < compressed < 600
    memory.close()


_WORK = """
import sys
from pathlib import Path
from tests.systems.hmst.test_semantic import changed, SMALL, DIMENSION
from pmi_kernel.systems.hmst import SemanticMemory
memory = SemanticMemory(DIMENSION, Path(sys.argv[1]), indexing=SMALL)
for step in range(int(sys.argv[2]), 10_000):
    changed(memory, step)
    print(step, flush=True)
"""


def changed(memory: SemanticMemory, step: int) -> None:
    """One change of a sequence that is the same whenever it is made."""
    draw = Random(step)
    if step % 7 == 6:
        memory.save()
    elif step % 3 == 2:
        memory.remove_ids([draw.randint(1, 10 * step + 1) for _ in range(5)])
    else:
        memory.add([f"{step}/{number}" for number in range(10)], drawn(10, step))


def test_a_killed_process_leaves_what_it_said_it_had_done(tmp_path: Path) -> None:
    done, draw, store = 0, Random(0), tmp_path / "store"
    mirror = SemanticMemory(DIMENSION, tmp_path / "mirror", indexing=SMALL)
    for _ in range(4):
        words = [sys.executable, "-c", _WORK, str(store), str(done)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            most = done + draw.randint(20, 60)
            for line in process.stdout:
                if int(line) >= most:
                    break
            os.kill(process.pid, signal.SIGKILL)
            told = [int(line), *map(int, process.stdout.read().split())][-1]
        for step in range(done, told + 1):
            changed(mirror, step)
        done = told + 1
        with SemanticMemory(DIMENSION, store, indexing=SMALL) as memory:
            if not equal(memory, mirror):  # the next one was made, and not yet told
                changed(mirror, done)
                done += 1
            assert equal(memory, mirror)
    assert memory.is_compressed


def equal(one: SemanticMemory, other: SemanticMemory) -> bool:
    queries = drawn(5, 77)
    return len(one) == len(other) and one.search(queries, 9) == other.search(queries, 9)


def test_a_lost_or_torn_index_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for count in (40, 400):
        path = tmp_path / str(count)
        memory = filled(path, count)
        found = memory.search(drawn(3, 5), 7)
        memory.save()
        memory.close()
        [index] = path.glob("index-*.faiss")
        index.write_bytes(index.read_bytes()[:-9])
        with SemanticMemory(DIMENSION, path, indexing=SMALL) as again:
            assert again.search(drawn(3, 5), 7) == found
            assert again.is_compressed is (count == 400)
        assert "made again" in caplog.text
        caplog.clear()
        SNAPSHOT.at(path).unlink()
        with SemanticMemory(DIMENSION, path, indexing=SMALL) as again:
            assert again.search(drawn(3, 5), 7) == found


def test_an_index_of_other_contents_is_not_believed(tmp_path: Path) -> None:
    memory = filled(tmp_path, 50)
    memory.save()
    memory.close()
    with sqlite3.connect(tmp_path / "entries.sqlite") as db:
        db.execute("DELETE FROM entries WHERE id < 10")
    db.close()
    with SemanticMemory(DIMENSION, tmp_path, indexing=SMALL) as again:
        assert len(again) == 41
        assert min(hit.id for hit in again.search(drawn(1), 41)[0]) == 10


@pytest.mark.parametrize("harm", ["vector", "file", "dimension", "source"])
def test_a_store_that_is_damaged_or_of_other_vectors_is_refused(tmp_path: Path, harm: str) -> None:
    filled(tmp_path, 5).close()
    dimension, source, file = DIMENSION, "", tmp_path / "entries.sqlite"
    match harm:
        case "vector":
            with sqlite3.connect(file) as db:
                db.execute("UPDATE entries SET vector = x'00' WHERE id = 3")
            db.close()
        case "file":
            file.write_bytes(b"no database at all" * 100)
        case "dimension":
            dimension = 8
        case "source":
            source = "another model"
    with pytest.raises(DataError, match=r"entry 3 has no vector|cannot be used|dimension|source"):
        SemanticMemory(dimension, tmp_path, source=source, indexing=SMALL)
    if harm in ("dimension", "source"):
        SemanticMemory(DIMENSION, tmp_path).close()  # and it is free again


def test_two_processes_take_turns(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pmi_kernel.systems.hmst import SemanticMemory;"
        f"SemanticMemory({DIMENSION}, Path(sys.argv[1]))"
    )
    with filled(tmp_path, 3):
        told = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
        )
    assert "open in another process" in told.stderr
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def bad(which: str) -> np.ndarray:
    vectors = drawn(2)
    match which:
        case "nan":
            vectors[1, 3] = np.nan
        case "zero":
            vectors[1] = 0
        case "width":
            vectors = vectors[:, :5]
        case "count":
            vectors = vectors[:1]
    return vectors


@pytest.mark.parametrize("which", ["nan", "zero", "width", "count"])
def test_vectors_that_cannot_be_are_refused_and_nothing_is_lost(which: str) -> None:
    with filled(None, 9) as memory:
        with pytest.raises(ValueError, match=r"vector"):
            memory.add(["a", "b"], bad(which))
        assert len(memory) == 9
        if which != "count":
            with pytest.raises(ValueError, match=r"vector"):
                memory.search(bad(which), 3)


def test_sizes_that_do_not_fit_are_refused() -> None:
    for wrong in (Indexing(train_after=100), Indexing(code_bytes=5), Indexing(num_lists=20_000)):
        with pytest.raises(ConfigError):
            SemanticMemory(DIMENSION, indexing=wrong)
    with SemanticMemory(DIMENSION) as memory:
        assert memory.search(drawn(2), 3) == [[], []]
        assert memory.add([], drawn(0)) == []
        assert memory.remove_ids([4]) == 0
        with pytest.raises(ValueError, match="k is 0"):
            memory.search(drawn(1), 0)
        with pytest.raises(ValueError, match="name a folder"):
            memory.save()


def test_threads_may_share_it() -> None:
    memory, wrong = SemanticMemory(DIMENSION, indexing=SMALL), list[object]()

    def work(number: int) -> None:
        try:
            for step in range(20):
                vectors = drawn(5, 100 * number + step)
                ids = memory.add([f"{number}/{step}"] * 5, vectors)
                [[hit]] = memory.search(vectors[:1], 1)
                assert hit.id == ids[0]
                memory.remove_ids(ids[1:])
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(memory) == 80


def test_most_are_found_where_not_all_is_compared() -> None:
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(6, DIMENSION)).astype(np.float32)
    vectors = rng.normal(size=(3_000, 6)).astype(np.float32) @ mixing
    how = Indexing(train_after=1_000, num_lists=32, num_probes=8, code_bytes=8, candidates=8)
    exact = Indexing(train_after=10_000)
    found = []
    for indexing in (how, exact):
        with SemanticMemory(DIMENSION, indexing=indexing) as memory:
            memory.add([""] * len(vectors), vectors)
            assert memory.is_compressed is (indexing is how)
            found.append([{hit.id for hit in hits} for hits in memory.search(vectors[:100], 10)])
    recall = np.mean([len(a & b) / 10 for a, b in zip(*found, strict=True)])
    assert recall > 0.9


def test_a_store_is_read_with_its_numbers(tmp_path: Path) -> None:
    memory = filled(tmp_path, 4)
    memory.remove_ids([4])
    memory.close()
    with SemanticMemory(DIMENSION, tmp_path) as again:
        assert again.add(["new"], drawn(1, 9)) == [
            5
        ]  # the number of what is gone is not given again


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)
