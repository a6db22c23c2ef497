"""Whether two ways of computing one thing agree, on the transformers engine."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import mean
from typing import Any

import torch

from pmi_kernel.engines.base import Engine, Finish, Lesson, Sampling
from pmi_kernel.engines.hf import HfEngine
from pmi_kernel.engines.injected import injected
from pmi_kernel.engines.injection import Strategy
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.training import MemoryTask, Trained, TrainRow, train_loras
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Message, Prompt
from pmi_kernel.studies.gpu_check.table import Measures, Setting, SkippedError

TEXTS = (
    "Quill Tarvane was born in Ostermoor.",
    "Isolde Brack leads the Dunmarsh Lines, a railway of three branches between the salt towns.",
    "The Harrick Tower was finished in 1902. It is 41 metres high.",
)
_CHATS: tuple[Prompt, ...] = (
    (Message("user", "Where was Quill Tarvane born?"),),
    (Message("system", "Answer in one sentence."), Message("user", "Who leads it? " * 20)),
    (Message("user", "How high is the tower?"),),
)
_LORA = LoraConfig(steps=6, lr=1e-3)


def float32(setting: Setting) -> Measures:
    """See the table."""
    reference = build(setting, device="cpu")
    memory = learn(reference, TEXTS[0])
    expected = scores(reference), scores(reference, memory)
    base = under = 0.0
    devices = _devices(setting)
    for device in devices:
        here = build(setting, device=device)
        base = max(base, most_apart(scores(here), expected[0]))
        under = max(under, most_apart(scores(here, memory), expected[1]))
        here.close()
    return {
        "base_apart_nats": base,
        "memory_apart_nats": under,
        "memory_effect_mean_nats": mean_apart(*expected),
        "devices": len(devices),
    }


def bfloat16(setting: Setting) -> Measures:
    """See the table."""
    if setting.device == "cpu":
        from pmi_kernel.engines.device import cpu_bfloat16_speedup

        if not cpu_bfloat16_speedup():
            raise SkippedError("this CPU crashes on bfloat16")
    exact, coarse = build(setting), build(setting, dtype="bfloat16")
    memory = learn(exact, TEXTS[0])
    training = coarse.train((Lesson(TEXTS[0]),), _LORA)
    return {
        "base_apart_mean_nats": mean_apart(scores(exact), scores(coarse)),
        "memory_apart_mean_nats": mean_apart(scores(exact, memory), scores(coarse, memory)),
        "loss_last_over_first": training.losses_nats[-1] / training.losses_nats[0],
    }


def strategies(setting: Setting) -> Measures:
    """See the table."""
    names: tuple[Strategy, ...] = ("hot", "inplace", "merge_reload")
    found, moved, memory = [], 0.0, None
    for name in names:
        engine = build(setting, strategy=name)
        memory = memory or learn(engine, TEXTS[0])
        before = scores(engine)
        found.append(scores(engine, memory))
        moved = max(moved, most_apart(before, scores(engine)))
        engine.close()
    return {"apart_nats": max(most_apart(found[0], one) for one in found), "base_moved_nats": moved}


def mixed_batch(setting: Setting) -> Measures:
    """See the table."""
    engine = build(setting)
    memories = [learn(engine, text) for text in TEXTS]
    model, rows = engine.loaded.model, engine.loaded.rows
    ids = torch.arange(5, 45, device=engine.loaded.device)[None]

    def logprobs(*weights: LoraWeights | None) -> torch.Tensor:
        with torch.inference_mode(), rows.using(rows.gather(weights)):
            found: torch.Tensor = model(input_ids=ids.repeat(len(weights), 1)).logits
        return found.float().log_softmax(-1).cpu()

    mixed: list[LoraWeights | None] = [memories[0], None, *memories[1:], None]
    together = logprobs(*mixed)
    apart = max(
        float((together[row] - logprobs(weights)[0]).abs().max())
        for row, weights in enumerate(mixed)
    )
    alone = [scores(engine, weights) for weights in mixed]
    with ThreadPoolExecutor(len(mixed)) as pool:
        among = list(pool.map(lambda weights: scores(engine, weights), mixed))
    requests = max(most_apart(one, other) for one, other in zip(alone, among, strict=True))
    return {"row_apart_nats": apart, "request_apart_nats": requests, "rows": len(mixed)}


def training(setting: Setting) -> Measures:
    """See the table."""
    engine, reference = build(setting), build(setting, device="cpu")
    encode = engine.loaded.chat.encode
    tasks = [MemoryTask((TrainRow(encode(text)),), seed=seed) for seed, text in enumerate(TEXTS)]
    tasks.append(MemoryTask(tuple(TrainRow(encode(text), num_given=2) for text in TEXTS), seed=9))
    sgd, adam = replace(_LORA, optimizer="sgd", lr=0.01), replace(_LORA, depth=0.5)
    weights = losses = device_losses = 0.0
    for lora in (sgd, adam):
        together = _train(engine, tasks, lora)
        alone = [_train(engine, [task], lora)[0] for task in tasks]
        on_cpu = _train(reference, tasks, lora)
        for one, other, third in zip(together, alone, on_cpu, strict=True):
            losses = max(losses, _relative(one.losses_nats, other.losses_nats))
            device_losses = max(device_losses, _relative(one.losses_nats, third.losses_nats))
            if lora is sgd:
                weights = max(weights, _weights_apart(one.weights, other.weights))
    return {
        "weights_apart_rel": weights,
        "losses_apart_rel": losses,
        "device_losses_apart_rel": device_losses,
    }


def guided(setting: Setting) -> Measures:
    """See the table."""
    engine = build(setting)
    pattern = r"(North|South) [A-Z][a-z]{2,8} [0-9]{4}"
    samplings = [Sampling(24, temperature, regex=pattern) for temperature in (0.0, 1.0)]
    texts = [engine.generate(chat, sampling=one) for chat in _CHATS for one in samplings]
    unmatched = [
        one
        for one in texts
        if one.finish is Finish.STOP and re.fullmatch(pattern, one.text) is None
    ]

    def draw(seed: int) -> tuple[int, ...]:
        return engine.generate(_CHATS[0], sampling=Sampling(12, 1.0, seed=seed)).token_ids

    alone = [draw(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        among = list(pool.map(draw, range(4)))
    return {
        "unmatched_count": len(unmatched),
        "ended_count": sum(one.finish is Finish.STOP for one in texts),
        "draws_apart_count": sum(a != b for a, b in zip(alone, among, strict=True)),
    }


def build(setting: Setting, **options: Any) -> HfEngine:
    """Return the transformers engine, in float32 unless told otherwise."""
    defaults = {"device": setting.device, "dtype": "float32"}
    return HfEngine(setting.model, **(defaults | options))


def learn(engine: Engine, text: str) -> LoraWeights:
    """Return a memory of a text."""
    return engine.train((Lesson(text),), _LORA).weights


def scores(engine: Engine, memory: LoraWeights | None = None) -> tuple[float, ...]:
    """Return the log-probabilities (nats) of each text after its chat, under a memory or none."""
    with injected(engine, memory) as put:
        found = [
            engine.score(chat, text, adapter=put.adapter)
            for chat, text in zip(_CHATS, TEXTS, strict=True)
        ]
    return tuple(value for one in found for value in one.logprobs_nats)


def mean_apart(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the mean absolute difference."""
    return mean(abs(a - b) for a, b in zip(one, other, strict=True))


def most_apart(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the largest absolute difference."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _devices(setting: Setting) -> list[str]:
    """Every GPU by its number, or the CPU."""
    count = torch.cuda.device_count() if setting.device == "cuda" else 0
    return [f"cuda:{number}" for number in range(count)] or ["cpu"]


def _train(engine: HfEngine, tasks: Sequence[MemoryTask], lora: LoraConfig) -> list[Trained]:
    found = train_loras(engine.loaded.model, engine.loaded.rows, tasks, lora)
    trained = [one for one in found if isinstance(one, Trained)]
    assert len(trained) == len(tasks), found
    return trained


def _relative(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))


def _weights_apart(one: LoraWeights, other: LoraWeights) -> float:
    """Largest difference of a layer's update, relative to the size of that update."""
    return max(
        float((one.delta(name) - other.delta(name)).norm() / other.delta(name).norm())
        for name in other.a
    )
