"""What twenty documents in a prompt cost: memory and seconds of a training step, and of asking."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from pmi_kernel.core.task import Example, Paragraph
from pmi_kernel.engines.base import Engine, Sampling
from pmi_kernel.engines.config import EngineConfig
from pmi_kernel.prompting.messages import plain
from pmi_kernel.studies.bench.figures import Dtype, EngineName, show_figures

_STEPS = 3


def scratchpad(
    docs: int = 20,
    words: int = 100,
    asked: int = 5,
    train: bool = True,
    engine: EngineName = "hf",
    model: str = "smollm2-135m",
    dtype: Dtype = "float32",
    seed: int = 0,
    out: Path | None = None,
) -> dict[str, float]:
    """Memory of a training step on many documents, and seconds until a question about them starts.

    The memory is the most that the process ever had, the model and the loading of it with it. A
    question starts when its first token is there; the next one is about the same documents, whose
    keys and values are kept.

    Args:
        docs: Documents of a prompt.
        words: Of each.
        asked: Prompts that are asked about, with two questions each.
        train: Measure the training too; the first step warms up, and the median of the rest counts.
        engine: What serves: hf or vllm.
        model: The model, as in pmi run.
        dtype: Number format, as in pmi run; a LoRA is trained in float32.
        seed: Of the worlds that the documents are from.
        out: Write the figures here too, as JSON.
    """
    examples = list(_examples(max(asked + 1, _STEPS), docs, words, seed))
    figures: dict[str, float] = {"docs": docs, "words": words}
    if train:
        figures |= _training(examples[:_STEPS], docs, model, dtype)
    kept = EngineConfig(engine=engine, model=model, dtype=dtype, prefix_cache=1).build_engine()
    return show_figures(figures | _starts(kept, examples[: asked + 1]), out)


def _examples(count: int, docs: int, words: int, seed: int) -> Iterator[Example]:
    """Questions with so many documents of so many words, all of them about somebody."""
    from pmi_kernel.data import load_examples

    found = load_examples(f"world:split=train,n={count},seed={seed},paragraphs={docs}")
    paragraphs = [one for example in found for one in example.task.context]
    more = cycle(sentence for one in paragraphs for sentence in one.sentences)
    for example in found:
        context = []
        for paragraph in example.task.context:
            sentences = list(paragraph.sentences)
            while sum(len(one.split()) for one in sentences) < words:
                sentences.append(f" {next(more).strip()}")
            context.append(Paragraph(paragraph.title, tuple(sentences)))
        yield replace(example, task=replace(example.task, context=tuple(context)))


def _training(examples: Sequence[Example], docs: int, model: str, dtype: Dtype) -> dict[str, float]:
    """Seconds of a step of one sample, its tokens, and the most memory."""
    from pmi_kernel.data.writing import write_examples
    from pmi_kernel.systems.learning import open_learner, preset
    from pmi_kernel.training import fit

    with TemporaryDirectory() as folder:
        data, evaluated = Path(folder) / "train.jsonl", Path(folder) / "dev.jsonl"
        write_examples(examples[1:], data)
        write_examples(examples[:1], evaluated)
        own, shared = preset(
            "scratchpad",
            "smollm2",
            data=str(data),
            eval_data=str(evaluated),
            num_docs=docs,
            model=model,
            dtype=dtype,
            steps=_STEPS,
            batch=1,
            log_every=1,
            eval_first=False,
            eval_every=None,
            save_every=None,
        )
        learner = open_learner("scratchpad", own)
        rows: list[Mapping[str, Any]] = []
        fit(learner, shared, Path(folder) / "out", on_row=lambda row, total: rows.append(row))
        steps = [row for row in rows if "peak_mb" in row]
        return {
            "train_tokens": max(row["measures"]["sample_tokens"] for row in steps),
            "train_step_s": median(1 / row["examples_per_s"] for row in steps[1:]),
            "train_peak_mb": steps[-1]["peak_mb"],
        }


def _starts(engine: Engine, examples: Sequence[Example]) -> dict[str, float]:
    """Seconds to the first token of a first question, and of the next about the same documents."""
    from pmi_kernel.systems.scratchpad.prompts import question_text

    seconds: tuple[list[float], list[float]] = [], []
    tokens = []
    for example in examples:  # the first one warms up
        documents = example.task.context
        questions = example.task.question, f"Who is {documents[-1].title}?"
        for question, found in zip(questions, seconds, strict=True):
            text = question_text(question, documents, is_first=False)
            began = time.perf_counter()
            made = engine.generate(plain(text), sampling=Sampling(max_tokens=1))
            found.append(time.perf_counter() - began)
            tokens.append(made.prompt_tokens)
    first, other = (median(found[1:]) for found in seconds)
    return {
        "prompt_tokens": median(tokens),
        "first_question_s": first,
        "next_question_s": other,
        "next_starts_sooner": first / other,
    }
