"""What a prompt begins with alike is read once, and answered as if it had been read anew."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from pmi_kernel.engines.base import Lesson, Sampling
from pmi_kernel.engines.hf import HfEngine
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.prompting.messages import Prompt, plain

DOCUMENTS = " ".join(f"Document {number} says that town {number} is old." for number in range(40))
SAMPLING = Sampling(max_tokens=6)


def about(question: str) -> Prompt:
    return plain(f"{DOCUMENTS}\n{question}")


@pytest.fixture(scope="module")
def keeping(tiny: str) -> HfEngine:
    return HfEngine(tiny, device="cpu", dtype="float32", prefix_cache=1)


@pytest.fixture(scope="module")
def fresh(tiny: str) -> HfEngine:
    return HfEngine(tiny, device="cpu", dtype="float32")


@contextmanager
def tokens_read(engine: HfEngine) -> Iterator[list[int]]:
    """How many tokens each forward pass has read."""
    read: list[int] = []
    embeddings = engine.loaded.model.get_input_embeddings()
    handle = embeddings.register_forward_pre_hook(lambda _, given: read.append(given[0].shape[1]))
    try:
        yield read
    finally:
        handle.remove()


def test_the_second_question_about_the_same_documents_reads_little(
    keeping: HfEngine, fresh: HfEngine
) -> None:
    first = keeping.generate(about("Which is old?"), sampling=SAMPLING)
    with tokens_read(keeping) as read:
        second = keeping.generate(about("What is said of town 3?"), sampling=SAMPLING)
    assert read[0] < second.prompt_tokens / 5
    for found, question in ((first, "Which is old?"), (second, "What is said of town 3?")):
        anew = fresh.generate(about(question), sampling=SAMPLING)
        assert found.text == anew.text
        assert found.token_ids == anew.token_ids
        assert np.allclose(found.logprobs_nats, anew.logprobs_nats, atol=1e-4)


def test_what_was_generated_can_be_gone_on_from(keeping: HfEngine, fresh: HfEngine) -> None:
    output = keeping.generate(about("Go on:"), sampling=SAMPLING)
    longer = about(f"Go on:{output.text} and")
    with tokens_read(keeping) as read:
        score = keeping.score(longer, " then")
    assert read[0] < output.prompt_tokens / 5
    expected = fresh.score(longer, " then")
    assert np.allclose(score.logprobs_nats, expected.logprobs_nats, atol=1e-4)


def test_a_memory_reads_for_itself_and_is_known_again(keeping: HfEngine, fresh: HfEngine) -> None:
    lora = LoraConfig(steps=3, lr=1e-2)
    weights = keeping.train((Lesson("Town 3 is new, and town 4 is newer."),), lora).weights
    keeping.generate(about("Which?"), sampling=SAMPLING)
    texts = []
    for turn in range(2):
        adapter = keeping.attach(weights)
        with tokens_read(keeping) as read:
            texts.append(keeping.generate(about("Which?"), adapter=adapter, sampling=SAMPLING).text)
        keeping.detach(adapter)
        assert (read[0] > 100) is (turn == 0)
    anew = fresh.attach(weights)
    assert fresh.generate(about("Which?"), adapter=anew, sampling=SAMPLING).text == texts[0]
    fresh.detach(anew)
    assert texts[0] == texts[1]


def test_other_documents_are_read(keeping: HfEngine) -> None:
    keeping.generate(about("Which?"), sampling=SAMPLING)
    other = plain("Another beginning. " + about("Which?")[0].content)
    with tokens_read(keeping) as read:
        found = keeping.generate(other, sampling=SAMPLING)
    assert read[0] == found.prompt_tokens


def test_a_memory_in_the_weights_forgets_what_was_read(tiny: str) -> None:
    engine = HfEngine(tiny, device="cpu", dtype="float32", strategy="inplace", prefix_cache=1)
    lora = LoraConfig(steps=3, lr=1e-2)
    weights = engine.train((Lesson("Town 3 is new, and town 4 is newer."),), lora).weights
    before = engine.generate(about("Which?"), sampling=SAMPLING)
    adapter = engine.attach(weights)
    with tokens_read(engine) as read:
        engine.generate(about("Which?"), adapter=adapter, sampling=SAMPLING)
    engine.detach(adapter)
    assert read[0] == before.prompt_tokens
    assert torch.allclose(
        torch.tensor(engine.generate(about("Which?"), sampling=SAMPLING).logprobs_nats),
        torch.tensor(before.logprobs_nats),
        atol=1e-6,
    )
