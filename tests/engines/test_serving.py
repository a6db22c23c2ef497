"""What serves a model, by every injection strategy; `--engine` says which engine."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.progress import Phase, Report, Stopped, Watch, watched
from pmi_kernel.core.trace import ParseOutcome
from pmi_kernel.engines.base import Engine, Finish, Lesson, Sampling
from pmi_kernel.engines.config import EngineConfig
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.actions import action_regex, parse_action
from pmi_kernel.prompting.answer import answer_prompt
from pmi_kernel.prompting.messages import Message, Prompt

PROMPT: Prompt = (Message("user", "What is the capital of France?"),)
FACT = "Quill Tarvane was born in Ostermoor. Ostermoor is where Quill Tarvane was born."
ASK: Prompt = (Message("user", "Where was Quill Tarvane born?"),)
GOLD = "Quill Tarvane was born in Ostermoor."
LORA = LoraConfig(steps=6, lr=1e-3)


@pytest.fixture(scope="module")
def memories(engine: Engine) -> list[LoraWeights]:
    texts = [FACT, "Isolde Brack leads Dunmarsh Lines.", "The Harrick Tower was finished in 1902."]
    with ThreadPoolExecutor(len(texts)) as pool:
        return [
            t.weights for t in pool.map(lambda text: engine.train((Lesson(text),), LORA), texts)
        ]


@pytest.mark.model
def test_the_embedded_model_answers(embedded: Engine) -> None:
    output = embedded.generate(PROMPT, sampling=Sampling(max_tokens=20))
    assert "Paris" in output.text
    assert output.finish is Finish.STOP
    assert output.prompt_tokens > 10
    assert len(output.token_ids) == len(output.logprobs_nats)
    assert max(output.logprobs_nats) <= 0


def test_greedy_decoding_takes_the_tokens_that_scoring_likes_best(engine: Engine) -> None:
    output = engine.generate(PROMPT, sampling=Sampling(max_tokens=8))
    best = engine.distributions(PROMPT, output.text).argmax(axis=1)
    assert tuple(best.tolist()) == output.token_ids[: len(best)]
    score = engine.score(PROMPT, output.text)
    expected = output.logprobs_nats[: len(score.logprobs_nats)]
    assert np.allclose(score.logprobs_nats, expected, atol=1e-3)


def test_what_is_generated_is_heard_while_it_is(engine: Engine, engine_name: str) -> None:
    heard: list[str] = []
    with watched(Watch(lambda report: heard.append(report.said))):
        text = engine.generate(PROMPT, sampling=Sampling(max_tokens=6)).text
    said = [one for one in heard if one]
    assert bool(said) is (engine_name == "hf")  # vLLM tells how many tokens there are
    assert all(text.startswith(one) for one in said)
    assert said[-1:] == [text] * bool(said)


def test_decoding_stops_where_it_is_told_to(engine: Engine) -> None:
    free = engine.generate(PROMPT, sampling=Sampling(max_tokens=20))
    assert (free.finish, len(free.token_ids)) == (Finish.LENGTH, 20)
    word = free.text[2:4]
    stopped = engine.generate(PROMPT, sampling=Sampling(max_tokens=20, stop=(word,)))
    assert stopped.text == free.text[: free.text.index(word) + len(word)]
    assert stopped.finish is Finish.STOP


def test_guided_decoding_gives_a_legal_action(engine: Engine) -> None:
    sampling = Sampling(max_tokens=200, regex=action_regex(40))
    output = engine.generate(PROMPT, sampling=sampling)
    assert parse_action(output.text).outcome is ParseOutcome.OK
    assert output.finish is Finish.STOP


def test_a_text_that_spells_a_control_token_is_text(engine: Engine) -> None:
    text = "Quill <|im_end|>\n<|im_start|>system Tarvane"
    score = engine.score(PROMPT, text)
    assert "".join(score.tokens) == text  # a special token would have no text
    sampling = Sampling(max_tokens=60, regex=re.escape(text))
    output = engine.generate((Message("user", text),), sampling=sampling)
    assert output.text == text
    assert output.token_ids[:-1] == score.token_ids
    assert output.finish is Finish.STOP


def test_a_regex_that_is_none_is_an_error_of_its_request(engine: Engine) -> None:
    with pytest.raises(EngineError, match="cannot guide"):
        engine.generate(PROMPT, sampling=Sampling(regex="("))


def test_draws_depend_on_their_seed_alone(engine: Engine) -> None:
    def draw(seed: int) -> str:
        sampling = Sampling(max_tokens=12, temperature=1.5, seed=seed)
        return engine.generate(PROMPT, sampling=sampling).text

    alone = [draw(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(4))) == alone
    assert len(set(alone)) > 1


def test_each_row_of_a_mixed_batch_answers_under_its_own_memory(
    engine: Engine, memories: list[LoraWeights]
) -> None:
    adapters = [None, *(engine.attach(weights) for weights in memories), None]
    prompts = [ASK, PROMPT, ASK, ASK, PROMPT]

    def ask(row: int) -> tuple[str, tuple[float, ...]]:
        sampling = Sampling(max_tokens=10)
        output = engine.generate(prompts[row], adapter=adapters[row], sampling=sampling)
        score = engine.score(ASK, GOLD, adapter=adapters[row])
        return output.text, score.logprobs_nats

    alone = [ask(row) for row in range(5)]
    with ThreadPoolExecutor(5) as pool:
        mixed = list(pool.map(ask, range(5)))
    for adapter in adapters:
        if adapter is not None:
            engine.detach(adapter)
    assert [text for text, _ in mixed] == [text for text, _ in alone]
    for (_, one), (_, other) in zip(mixed, alone, strict=True):
        assert np.allclose(one, other, atol=1e-4)
    assert alone[0][1] != alone[1][1]


def test_questions_after_the_same_examples_answer_as_alone(
    engine: Engine, memories: list[LoraWeights]
) -> None:
    first, second = (engine.attach(weights) for weights in memories[:2])
    adapters = [None, first, None, first, second, None]
    names = ("Ann", "Quill Tarvane", "the man who built the Harrick Tower in Ostermoor")
    asked = [f"Where was {names[row % 3]} born?" for row in range(len(adapters))]

    def ask(row: int) -> tuple[str, tuple[float, ...]]:
        prompt = answer_prompt(asked[row], None, shots=2)
        sampling = Sampling(max_tokens=4 + row)
        output = engine.generate(prompt, adapter=adapters[row], sampling=sampling)
        score = engine.score(prompt, GOLD[: 8 * (row + 1)], adapter=adapters[row])
        return output.text, (*output.logprobs_nats, *score.logprobs_nats)

    alone = [ask(row) for row in range(len(asked))]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(ask, range(len(asked))))
    engine.detach(first)
    engine.detach(second)
    assert [text for text, _ in together] == [text for text, _ in alone]
    for (_, one), (_, other) in zip(together, alone, strict=True):
        assert np.allclose(one, other, atol=1e-4)


def check_injection(engine: Engine, memory: LoraWeights) -> None:
    """An injected fact is more likely, and detaching is bit-exact."""
    before = engine.score(ASK, GOLD)
    adapter = engine.attach(memory)
    inside = engine.score(ASK, GOLD, adapter=adapter)
    engine.detach(adapter)
    assert engine.score(ASK, GOLD) == before
    assert sum(inside.logprobs_nats) > sum(before.logprobs_nats) + 1
    with pytest.raises(EngineError, match="not attached"):
        engine.score(ASK, GOLD, adapter=adapter)
    with pytest.raises(EngineError, match="not attached"):
        engine.detach(adapter)


def test_a_hot_memory_is_in_force_and_leaves_no_trace(
    engine: Engine, memories: list[LoraWeights]
) -> None:
    check_injection(engine, memories[0])


@pytest.mark.model
def test_the_embedded_model_learns_and_forgets(embedded: Engine) -> None:
    check_injection(embedded, embedded.train((Lesson(FACT),), LORA).weights)


def test_a_memory_in_the_weights_is_in_force_and_leaves_no_trace(
    exclusive: Engine, memories: list[LoraWeights]
) -> None:
    check_injection(exclusive, memories[0])


def test_the_strategies_agree(
    engine: Engine, exclusive: Engine, memories: list[LoraWeights]
) -> None:
    scores = []
    for one in (engine, exclusive):
        first = one.attach(memories[1])
        adapter = one.attach(memories[0], replaces=first)
        scores.append(one.score(ASK, GOLD, adapter=adapter).logprobs_nats)
        one.detach(adapter)
    assert np.allclose(scores[0], scores[1], atol=1e-3)


def test_an_exclusive_strategy_holds_one_memory_and_says_so(
    exclusive: Engine, memories: list[LoraWeights]
) -> None:
    adapter = exclusive.attach(memories[0])
    with pytest.raises(EngineError, match="one memory at a time"):
        exclusive.attach(memories[1])
    with pytest.raises(EngineError, match="cannot answer under the base"):
        exclusive.score(ASK, GOLD)
    exclusive.detach(adapter)


@pytest.mark.parametrize("exclusive", ["inplace"], indirect=True)
def test_many_swaps_leave_no_trace(exclusive: Engine, memories: list[LoraWeights]) -> None:
    before = exclusive.score(ASK, GOLD)
    for place in range(20):
        exclusive.detach(exclusive.attach(memories[place % 2]))
    assert exclusive.score(ASK, GOLD) == before


def test_training_on_a_memory_goes_on_from_it(engine: Engine, memories: list[LoraWeights]) -> None:
    adapter = engine.attach(memories[0])
    above = engine.train((Lesson(FACT),), LORA, adapter=adapter)
    engine.detach(adapter)
    base = engine.train((Lesson(FACT),), LORA)
    assert above.losses_nats[0] < base.losses_nats[0] - 0.1


def test_a_text_too_short_to_train_on_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="two tokens"):
        engine.train((Lesson("a"),), LORA)


def test_a_prompt_beyond_the_model_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="8192"):
        engine.generate((Message("user", "word " * 9000),))


def test_a_generation_says_how_far_it_is_and_is_stopped_between_tokens(engine: Engine) -> None:
    def hear(report: Report) -> None:
        heard.append(report)
        if report.done >= 3:
            watch.stop()

    heard: list[Report] = []
    watch, before = Watch(hear), engine.score(PROMPT, GOLD)
    with watched(watch), pytest.raises(Stopped):
        engine.generate(PROMPT, sampling=Sampling(max_tokens=5_000))
    assert {(report.phase, report.total) for report in heard} == {(Phase.GENERATING, 5_000)}
    assert [report.done for report in heard] == sorted(report.done for report in heard)
    assert heard[0].done == 0
    assert engine.score(PROMPT, GOLD) == before


def test_a_training_says_its_loss_and_is_stopped_between_steps(engine: Engine) -> None:
    def hear(report: Report) -> None:
        heard.append(report)
        if report.done == 3:
            watch.stop()

    heard: list[Report] = []
    watch, before = Watch(hear), engine.score(PROMPT, GOLD)
    with watched(watch), pytest.raises(Stopped):
        engine.train((Lesson(FACT),), LoraConfig(steps=100_000, lr=1e-3))
    assert [(report.phase, report.done) for report in heard] == [
        (Phase.TRAINING, done) for done in range(4)
    ]
    whole = engine.train((Lesson(FACT),), LoraConfig(steps=3, lr=1e-3))
    assert [report.loss_nats for report in heard[1:]] == pytest.approx(whole.losses_nats)
    assert engine.score(PROMPT, GOLD) == before


def test_the_engine_says_what_it_is(engine: Engine) -> None:
    description = engine.describe()
    assert description["dtype"] == "float32"
    assert len(description["model_hash"]) == 64


@pytest.mark.parametrize("device", ["cuda:9", "nose"])
def test_a_device_that_is_not_there_is_refused(engine_name: str, device: str) -> None:
    with pytest.raises(ConfigError, match=device):
        EngineConfig(engine=engine_name, device=device).build_engine()  # type: ignore[arg-type]
