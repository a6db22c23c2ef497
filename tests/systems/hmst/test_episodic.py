"""The buffer of what was told lately, and what is moved out of it."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from pmi_kernel.systems.hmst import (
    EpisodicMemory,
    EpisodicMemorySSM,
    MemoryConsolidator,
    SemanticMemory,
)

WIDTH, STATE = 32, 16


@pytest.fixture(scope="module")
def ssm() -> EpisodicMemorySSM:
    torch.manual_seed(0)
    return EpisodicMemorySSM(WIDTH, STATE, num_layers=1).eval()


@pytest.fixture
def episodic(ssm: EpisodicMemorySSM) -> EpisodicMemory:
    torch.manual_seed(1)
    return EpisodicMemory(ssm, torch.nn.Linear(WIDTH, STATE), capacity=4, half_life=2.0)


@pytest.fixture
def semantic(tmp_path: Path) -> Iterator[SemanticMemory]:
    with SemanticMemory(STATE, tmp_path) as memory:
        yield memory


def states(seed: int, tokens: int = 5) -> torch.Tensor:
    return torch.randn(tokens, WIDTH, generator=torch.Generator().manual_seed(seed))


def summarised(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    vectors = [np.random.default_rng(len(one)).normal(size=STATE) for one in texts]
    return [f"it is known that {one}" for one in texts], np.array(vectors, dtype=np.float32)


def texts(memory: EpisodicMemory) -> set[str]:
    return {one.text for one, _ in memory.weighed()}


def test_the_old_and_unimportant_is_forgotten(episodic: EpisodicMemory) -> None:
    for number in range(6):
        episodic.tell(f"text {number}", states(number), importance=100.0 if number == 1 else 1.0)
    assert texts(episodic) == {"text 1", "text 3", "text 4", "text 5"}
    assert episodic.weighed()[0][0].text == "text 1"
    episodic.mark([2], 0.0)
    episodic.tell("text 6", states(6))
    assert "text 1" not in texts(episodic)


def test_the_nearest_is_found_first(episodic: EpisodicMemory) -> None:
    for number in range(4):
        episodic.tell(f"text {number}", states(number))
    found = episodic.retrieve(states(9)[0], 3)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len({one.id for one in found}) == 3
    assert len(episodic.retrieve(states(9)[0], 9)) == 4
    episodic.clear()
    assert episodic.retrieve(states(9)[0], 3) == []


def test_a_summary_is_of_the_whole_text(episodic: EpisodicMemory) -> None:
    long = states(3, 80)
    changed = long.clone()
    changed[0] += 3
    episodic.tell("one", long)
    episodic.tell("other", changed)
    (one, _), (other, _) = episodic.weighed()
    assert not torch.allclose(one.summary, other.summary, atol=1e-5)
    assert one.summary.shape == (STATE,)


def test_what_cannot_be_told_is_refused(episodic: EpisodicMemory) -> None:
    for hidden, importance in (
        (states(0, 0), 1.0),
        (states(0) * torch.nan, 1.0),
        (states(0), -1.0),
    ):
        with pytest.raises(ValueError, match=r"finite|importance"):
            episodic.tell("text", hidden, importance)
    with pytest.raises(ValueError, match="finite"):
        episodic.retrieve(states(0)[0] * torch.inf, 2)
    assert len(episodic) == 0


def test_what_matters_is_moved(episodic: EpisodicMemory, semantic: SemanticMemory) -> None:
    consolidator = MemoryConsolidator(episodic, semantic, summarised, least_weight=1.0)
    episodic.tell("a", states(0), importance=9.0)
    episodic.tell("bb", states(1), importance=0.1)
    episodic.tell("ccc", states(2), importance=5.0)
    ids = consolidator.consolidate()
    assert len(ids) == len(semantic) == 2
    assert texts(episodic) == {"bb"}
    [[hit]] = semantic.search(summarised(["ccc"])[1], 1)
    assert hit.text == "it is known that ccc"
    assert consolidator.consolidate() == []


def test_what_cannot_be_written_stays(episodic: EpisodicMemory, semantic: SemanticMemory) -> None:
    def broken(told: Sequence[str]) -> tuple[list[str], np.ndarray]:
        return list(told), np.full((len(told), STATE), np.nan, dtype=np.float32)

    episodic.tell("a", states(0))
    with pytest.raises(ValueError, match="not finite"):
        MemoryConsolidator(episodic, semantic, broken).consolidate()
    assert texts(episodic) == {"a"}
    assert len(semantic) == 0


def test_a_thread_moves_while_questions_are_asked(
    ssm: EpisodicMemorySSM, semantic: SemanticMemory
) -> None:
    episodic = EpisodicMemory(ssm, torch.nn.Linear(WIDTH, STATE), capacity=1_000)
    is_slow, may_go = threading.Event(), threading.Event()

    def slowly(told: Sequence[str]) -> tuple[list[str], np.ndarray]:
        is_slow.set()
        assert may_go.wait(20)
        return summarised(told)

    consolidator = MemoryConsolidator(episodic, semantic, slowly, most=10)
    for number in range(50):
        episodic.tell("x" * (number + 1), states(number))
    consolidator.start(0.001)
    with pytest.raises(RuntimeError, match="already"):
        consolidator.start(1.0)
    assert is_slow.wait(20)  # it is in the middle of it
    assert len(episodic.retrieve(states(3)[0], 5)) == 5
    assert semantic.search(summarised(["x"])[1], 3) == [[]]
    may_go.set()
    consolidator.stop()
    queries = summarised(["x" * (number + 1) for number in range(50)])[1]
    told = {hits[0].text for hits in semantic.search(queries, 1)}
    assert len(semantic) == len(told) >= 10
    assert len(semantic) + len(episodic) == 50  # nothing is lost, nothing is there twice
