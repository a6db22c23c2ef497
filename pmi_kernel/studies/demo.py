"""The demo: invented facts, each written into the weights by one gradient step, then asked."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from pmi_kernel.core.metrics import normalize_answer
from pmi_kernel.core.settings import Seed, Settings
from pmi_kernel.core.system import Question
from pmi_kernel.data import load_examples
from pmi_kernel.data.known import well_known
from pmi_kernel.engines.injected import injected
from pmi_kernel.engines.models import EMBEDDED
from pmi_kernel.reports.tables import render_table
from pmi_kernel.systems import open_system
from pmi_kernel.systems.regrad.config import RegradConfig
from pmi_kernel.systems.regrad.prompts import passage_text
from pmi_kernel.systems.regrad.system import RegradSystem
from pmi_kernel.systems.start import OWN

_NUM_KNOWN = 10


class DemoSettings(Settings):
    """What the demo shows."""

    facts: Annotated[int, Field(ge=2, le=16)] = 8
    """Invented facts, drawn by the seed."""
    seed: Seed = 1
    """Draws the facts and the well-known questions, whatever comes of them."""
    engine: Literal["hf", "vllm", "scripted"] = "hf"
    """Serving engine, as in pmi run."""
    model: str = EMBEDDED
    """Model, as in pmi run; its start is `checkpoint`."""
    checkpoint: str = OWN
    """Start of the gradient steps, as in pmi run --system regrad."""


def demo(settings: DemoSettings) -> int:
    """Ask invented facts before and after one gradient step on each, with controls."""
    began = time.perf_counter()
    config = RegradConfig(
        engine=settings.engine, model=settings.model, checkpoint=settings.checkpoint, topk=1
    )
    system = open_system(config)
    assert isinstance(system, RegradSystem)
    source = f"world:split=dev,n={settings.facts},seed={settings.seed},paragraphs=1"
    examples = load_examples(source)
    passages = [passage_text(example.task.context[0]) for example in examples]
    asked = [Question.of(example) for example in examples]
    shown = [Question(one.text, one.gold, text) for one, text in zip(asked, passages, strict=True)]
    drawn = Random(settings.seed).sample(well_known(is_rehearsed=False), _NUM_KNOWN)
    known = [Question(one.question) for one in drawn]
    ready_s = time.perf_counter() - began

    def answers(questions: Sequence[Question], state: object = None) -> list[str]:
        return [reply.answer for reply in system.ask(questions, state)]

    before, known_before, in_prompt = answers(asked), answers(known), answers(shown)
    start = time.perf_counter()
    gradients = system.engine.gradients(passages, system.start).of
    memories = [system.start.stepped(system.start.theta, [(1.0, one.tensors)]) for one in gradients]
    with ExitStack() as stack:
        adapters = [
            stack.enter_context(injected(system.engine, weights)).adapter for weights in memories
        ]
        written_s = (time.perf_counter() - start) / len(passages)
        after = [answers([one], state)[0] for one, state in zip(asked, adapters, strict=True)]
        others = [*adapters[1:], adapters[0]]
        control = [answers([one], state)[0] for one, state in zip(asked, others, strict=True)]
        known_after = [
            answers([one], adapters[place % len(adapters)])[0] for place, one in enumerate(known)
        ]
    system.close()

    golds = [one.gold for one in asked]
    rows = [
        (one.text, one.gold, *(_marked(text, one.gold) for text in texts))
        for one, *texts in zip(asked, before, after, control, in_prompt, strict=True)
    ]
    print(
        f"{len(asked)} invented facts (seed {settings.seed}), each written into the weights by one "
        "gradient step on\nits passage, and asked with nothing in the prompt. All memories are in "
        "force at once.\n"
    )
    header = ("question", "gold", "before", "after", "another's memory", "passage in the prompt")
    print(render_table(header, rows, max_chars=30))
    mb = memories[0].num_bytes / 1e6
    print(
        f"\nright before {_count(before, golds)}, after {_count(after, golds)}, with another's "
        f"memory {_count(control, golds)}, with the passage in the prompt "
        f"{_count(in_prompt, golds)} of {len(golds)}.\n{written_s:.2f} s and {mb:.1f} MB a memory; "
        f"the model was ready after {ready_s:.0f} s.\n"
    )
    usual = [one.answer for one in drawn]
    rows = [
        (one.question, one.answer, _marked(old, one.answer), _marked(new, one.answer))
        for one, old, new in zip(drawn, known_before, known_after, strict=True)
    ]
    print(f"{_NUM_KNOWN} well-known questions (same seed), before and under one of the memories:\n")
    print(render_table(("question", "usual answer", "before", "after"), rows, max_chars=30))
    same = sum(map(_is_same, known_before, known_after))
    print(
        f"\nright before {_count(known_before, usual)}, after {_count(known_after, usual)}, "
        f"answered as before {same} of {_NUM_KNOWN}.\n\nWhere to look next: `make lab` (one "
        "episode step by step), `pmi bench one_step` (n = 208, with\nintervals), `pmi run --help`, "
        "and the README for what a small model cannot do."
    )
    return 0


def _is_same(one: str, other: str) -> bool:
    return normalize_answer(one) == normalize_answer(other)


def _marked(answer: str, gold: str) -> str:
    return f"{'+' if _is_same(answer, gold) else '-'} {answer or '(empty)'}"


def _count(answers: Sequence[str], golds: Sequence[str]) -> int:
    return sum(map(_is_same, answers, golds))
