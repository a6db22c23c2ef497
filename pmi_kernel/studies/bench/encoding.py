"""Gradients taken together and one by one, kept in three formats, and what a look-up costs."""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import get_args

from pmi_kernel.data import load_examples
from pmi_kernel.engines.base import Sampling
from pmi_kernel.engines.hf import HfEngine
from pmi_kernel.lora.start import Gradient, Start
from pmi_kernel.studies.bench.figures import show_figures
from pmi_kernel.systems.regrad.prompts import END, passage_text, question_prompt
from pmi_kernel.systems.regrad.store import Format, GradientStore
from pmi_kernel.systems.start import OWN, read_start

_TOKENS = 20


def encoding(
    checkpoint: str = OWN,
    n: int = 48,
    batch: int = 16,
    repeats: int = 3,
    seed: int = 1,
    out: Path | None = None,
) -> dict[str, float]:
    """What taking, keeping and looking up gradients costs, and what rounding changes.

    Passages of worlds, one a question: gradients a second one by one and in batches, in turns, and
    the largest gap between the two, as a share of the largest entry; bytes a passage by format, and
    how many of the answers after one step are not as without a store; and seconds from a passage's
    text to its memory in force (look-up, step, attach), beside those of generating 20 tokens.

    Args:
        checkpoint: As `--checkpoint` of the system.
        n: Passages.
        batch: Passages in one forward and backward pass.
        repeats: Times that each side is measured; the median counts.
        seed: Of the worlds.
        out: Write the figures here too, as JSON.
    """
    start, sha256 = read_start(checkpoint)
    engine = HfEngine(start.on.model, dtype="float32")
    examples = load_examples(f"world:split=dev,n={n},seed={seed},paragraphs=1")
    texts = [passage_text(example.task.context[0]) for example in examples]
    questions = [example.task.question for example in examples]

    def taken(size: int) -> tuple[list[Gradient], float]:
        began, found = time.perf_counter(), list[Gradient]()
        ordered = sorted(texts, key=len)
        for first in range(0, n, size):
            found += engine.gradients(ordered[first : first + size], start).of
        return sorted(found, key=lambda one: texts.index(one.text)), time.perf_counter() - began

    taken(1)  # the first one of a process is slower
    sides = [(taken(1), taken(batch)) for _ in range(repeats)]
    one_by_one, together = sides[0][0][0], sides[0][1][0]
    alone_s = median([alone for (_, alone), _ in sides])
    batched_s = median([batched for _, (_, batched) in sides])
    figures: dict[str, float] = {
        "n": n,
        "one_by_one_per_s": n / alone_s,
        "batched_per_s": n / batched_s,
        "batched_over_one_by_one": alone_s / batched_s,
        "largest_gap": max(map(_gap, one_by_one, together)),
    }

    def answer(gradient: Gradient, question: str) -> str:
        adapter = engine.attach(start.stepped(start.theta, [(1.0, gradient.tensors)]))
        try:
            prompt = question_prompt(question, is_simple=start.on.is_simple)
            sampling = Sampling(max_tokens=_TOKENS, stop=(END,))
            return engine.generate(prompt, adapter=adapter, sampling=sampling).text
        finally:
            engine.detach(adapter)

    plain = [answer(gradient, asked) for gradient, asked in zip(together, questions, strict=True)]
    for format in get_args(Format):
        with tempfile.TemporaryDirectory() as folder:
            store = GradientStore(Path(folder), sha256, format)
            store.put(together)
            kept = [one for text in texts if (one := store.get(text)) is not None]
            rounded = [answer(one, asked) for one, asked in zip(kept, questions, strict=True)]
            looked_up_s = median([_in_force(engine, store, text, start) for text in texts[:16]])
            figures |= {
                f"{format}_bytes": store.num_bytes / n,
                f"{format}_answers_changed": sum(
                    one != other for one, other in zip(plain, rounded, strict=True)
                ),
                f"{format}_look_up_s": looked_up_s,
            }
    generated_s = median([_generated(engine, question) for question in questions[:8]])
    figures["generate_20_s"] = generated_s
    for format in get_args(Format):
        figures[f"{format}_look_up_over_generate"] = figures[f"{format}_look_up_s"] / generated_s
    return show_figures(figures, out)


def _in_force(engine: HfEngine, store: GradientStore, text: str, start: Start) -> float:
    """Seconds from a text to its memory in force."""
    began = time.perf_counter()
    gradient = store.get(text)
    assert gradient is not None
    adapter = engine.attach(start.stepped(start.theta, [(1.0, gradient.tensors)]))
    seconds = time.perf_counter() - began
    engine.detach(adapter)
    return seconds


def _generated(engine: HfEngine, question: str) -> float:
    """Seconds of twenty tokens."""
    prompt = question_prompt(question, is_simple=True)
    began = time.perf_counter()
    engine.generate(prompt, sampling=Sampling(max_tokens=_TOKENS, stop=()))
    return time.perf_counter() - began


def _gap(one: Gradient, other: Gradient) -> float:
    """The largest difference of two gradients of a text, as a share of the largest entry."""
    most = max(tensor.abs().max().item() for tensor in one.tensors.values())
    gaps = (
        (tensor - other.tensors[name]).abs().max().item() for name, tensor in one.tensors.items()
    )
    return max(gaps) / most
