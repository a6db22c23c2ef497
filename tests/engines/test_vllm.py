"""What is vLLM's own: its slots, its agreement with transformers, its refusals."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.task import Example
from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Adapter, Engine, Lesson, Sampling
from pmi_kernel.engines.config import EngineConfig
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.answer import answer_prompt
from pmi_kernel.prompting.messages import Message, Prompt
from pmi_kernel.retrieval import make_retriever
from tests.conftest import build_engine

MAX_BATCH = 16


@pytest.fixture(autouse=True)
def _only_with_vllm(engine_name: str) -> None:
    if engine_name != "vllm":
        pytest.skip("needs vLLM: run `make test-vllm`")


@pytest.fixture(scope="module")
def asked() -> list[tuple[Prompt, str]]:
    """Fifty questions with the answer to be scored; real ones where they are at hand."""
    real = Path(__file__).parents[3] / "shared/data/hotpotqa/hotpot_dev_distractor_sample_100.json"
    examples = load_examples(str(real) if real.is_file() else "sample")[:50]
    return [
        (answer_prompt(example.task.question, None, shots=0), example.gold.answers[0])
        for example in examples
    ]


@pytest.fixture(scope="module")
def memories(engine: Engine, sample: list[Example]) -> list[LoraWeights]:
    """Nine memories of different texts, strong enough to change answers."""
    texts = [" ".join(example.task.context[0].sentences)[:200] for example in sample[:9]]
    lora = LoraConfig(steps=6, lr=3e-3)
    with ThreadPoolExecutor(len(texts)) as pool:
        trained = pool.map(lambda text: engine.train((Lesson(text),), lora), texts)
        return [one.weights for one in trained]


@pytest.fixture
def attached(engine: Engine, memories: list[LoraWeights]) -> Iterator[list[Adapter]]:
    """A memory in every slot, the last one too."""
    adapters = [engine.attach(memories[slot % 8]) for slot in range(MAX_BATCH)]
    yield adapters
    for adapter in adapters:
        engine.detach(adapter)


@pytest.mark.model
def test_it_answers_and_scores_as_transformers_does(
    embedded: Engine, asked: list[tuple[Prompt, str]]
) -> None:
    other = build_engine("hf")
    sampling = Sampling(max_tokens=12)
    for prompt, _ in asked[:4]:
        assert embedded.generate(prompt, sampling=sampling).token_ids == (
            other.generate(prompt, sampling=sampling).token_ids
        )
    for prompt, answer in asked[:10]:
        ours, theirs = embedded.score(prompt, answer), other.score(prompt, answer)
        assert ours.token_ids == theirs.token_ids
        assert np.allclose(ours.logprobs_nats, theirs.logprobs_nats, atol=1e-3)
    prompt, answer = asked[0]
    ours, theirs = (one.distributions(prompt, answer) for one in (embedded, other))
    assert np.allclose(np.exp(ours), np.exp(theirs), atol=1e-4)
    other.close()


def test_nothing_leaks_between_the_rows_of_a_mixed_batch(
    engine: Engine,
    asked: list[tuple[Prompt, str]],
    memories: list[LoraWeights],
    attached: list[Adapter],
) -> None:
    rows: list[tuple[Prompt, str, Adapter | None]] = []
    for place in range(8):  # eight memories; between them rows that have none
        rows += [(*asked[place], attached[place]), (*asked[place], None)]
    rows[-1] = (*asked[7], attached[-1])

    def ask(row: tuple[Prompt, str, Adapter | None]) -> tuple[str, tuple[float, ...]]:
        prompt, answer, adapter = row
        text = engine.generate(prompt, adapter=adapter, sampling=Sampling(max_tokens=12)).text
        return text, engine.score(prompt, answer, adapter=adapter).logprobs_nats

    alone = [ask(row) for row in rows]
    with ThreadPoolExecutor(len(rows)) as pool:
        mixed = list(pool.map(ask, rows))
    assert [text for text, _ in mixed] == [text for text, _ in alone]
    for (_, one), (_, other) in zip(mixed, alone, strict=True):
        assert np.allclose(one, other, atol=1e-3)
    with_memory, without = [score for _, score in alone[:14:2]], [score for _, score in alone[1::2]]
    for one, other in zip(with_memory, without, strict=False):
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.1


def test_rows_without_a_memory_are_the_bases_while_every_slot_is_full(
    engine: Engine, asked: list[tuple[Prompt, str]], memories: list[LoraWeights]
) -> None:
    before = [engine.score(*one) for one in asked[:8]]
    adapters = [engine.attach(memories[slot % 8]) for slot in range(MAX_BATCH)]

    def ask(place: int) -> tuple[float, ...]:
        adapter = adapters[place] if place >= 8 else None
        return engine.score(*asked[place % 8], adapter=adapter).logprobs_nats

    with ThreadPoolExecutor(16) as pool:
        scores = list(pool.map(ask, range(16)))
    for adapter in adapters:
        engine.detach(adapter)
    for score, base in zip(scores[:8], before, strict=True):
        assert np.allclose(score, base.logprobs_nats, atol=1e-3)
    assert [engine.score(*one) for one in asked[:8]] == before


def test_the_strategies_agree_on_fifty_prompts(
    engine: Engine,
    exclusive: Engine,
    asked: list[tuple[Prompt, str]],
    memories: list[LoraWeights],
) -> None:
    scores = []
    for one in (engine, exclusive):
        adapter = one.attach(memories[0])
        scores.append([one.score(*ask, adapter=adapter).logprobs_nats for ask in asked])
        one.detach(adapter)
    for hot, other in zip(*scores, strict=True):
        assert np.allclose(hot, other, atol=1e-3)


def test_more_memories_than_slots_take_turns(
    engine: Engine, asked: list[tuple[Prompt, str]], memories: list[LoraWeights]
) -> None:
    prompt, answer = asked[0]
    expected = []
    for weights in memories:
        adapter = engine.attach(weights)
        expected.append(engine.score(prompt, answer, adapter=adapter).logprobs_nats)
        engine.detach(adapter)
    adapters = [engine.attach(memories[place % 9]) for place in range(MAX_BATCH + 4)]
    with ThreadPoolExecutor(len(adapters)) as pool:
        scores = list(pool.map(lambda a: engine.score(prompt, answer, adapter=a), adapters))
    for adapter in adapters:
        engine.detach(adapter)
    for place, score in enumerate(scores):
        assert np.allclose(score.logprobs_nats, expected[place % 9], atol=1e-3)


def test_what_does_not_fit_a_slot_is_refused_and_others_go_on(
    engine: Engine, asked: list[tuple[Prompt, str]], memories: list[LoraWeights]
) -> None:
    before = engine.score(*asked[0])
    (name, a), *_ = memories[0].a.items()
    b = memories[0].b[name]
    wide = LoraWeights(
        {name: a.repeat(9, 1)}, {name: b.repeat(1, 9)}, rank=9 * memories[0].rank, alpha=1.0
    )
    with pytest.raises(EngineError, match="max_rank"):
        engine.attach(wide)
    nowhere = LoraWeights({"model.nowhere": a}, {"model.nowhere": b}, rank=8, alpha=8.0)
    with pytest.raises(EngineError, match="no linear layer"):
        engine.attach(nowhere)
    adapters = [engine.attach(memories[0]) for _ in range(4 * MAX_BATCH)]
    with pytest.raises(EngineError, match="attached already"):
        engine.attach(memories[0])
    for adapter in adapters:
        engine.detach(adapter)
    assert engine.score(*asked[0]) == before


def test_it_starts_after_bm25_was_used(tiny: str, sample: list[Example]) -> None:
    make_retriever("bm25").scores("a", sample[0].task.context)
    build_engine("vllm", tiny).close()


def test_a_closed_engine_says_so(tiny: str) -> None:
    engine = build_engine("vllm", tiny, max_batch=2)
    prompt = (Message("user", "Hello"),)
    assert engine.generate(prompt, sampling=Sampling(max_tokens=2)).token_ids
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.generate(prompt)


def test_a_device_that_this_vllm_is_not_made_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="cuda"):
        EngineConfig(engine="vllm", device="cuda:3").build_engine()
