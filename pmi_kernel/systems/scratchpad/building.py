"""Samples as a file, with their lengths, and what could not be one."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.task import Example
from pmi_kernel.data.layouts import LAYOUTS
from pmi_kernel.data.placing import placed, shuffled
from pmi_kernel.data.recasting import recast
from pmi_kernel.engines.loading import load_chat, most_tokens
from pmi_kernel.engines.models import resolve_model
from pmi_kernel.prompting.messages import plain
from pmi_kernel.systems.scratchpad.samples import ScratchpadSample, make_sample


@dataclass(frozen=True, slots=True)
class Built:
    """What was built.

    Attributes:
        samples: One or more.
        tokens: The fewest, the median and the most tokens of a sample.
        most_tokens: Of the model.
        num_too_long: Questions whose sample is longer than that.
        num_without_gold: Questions without a gold document, or with an empty document.
    """

    samples: tuple[ScratchpadSample, ...]
    tokens: tuple[int, int, int]
    most_tokens: int
    num_too_long: int
    num_without_gold: int


def build_samples(
    examples: Iterable[Example],
    out: Path | None,
    *,
    num_docs: int = 0,
    gold_at: int | None = None,
    seed: int = 0,
    is_written: bool = True,
    is_first: bool = True,
    model: str = "smollm2-135m",
) -> Built:
    """Make samples of questions, and write them.

    A row has the layout of Lost in the Middle (`question answers ctxs`), so that it is data as
    well, and beside it `evidence`, `sample` (the whole text), `given_chars` (what of it is not
    learned with the loss on the completion alone) and `num_tokens`.

    Args:
        examples: The questions.
        out: A JSONL file, whole or not at all; None: nothing is written.
        num_docs: Documents of a sample, the gold ones and the first others; 0 for all.
        gold_at: Place of the gold documents, from 0; None: the seed draws the order.
        seed: Draws it.
        is_written: Whether the evidence is written down before the answer.
        is_first: Whether the question stands before the documents too.
        model: Whose tokens are counted.

    Raises:
        ConfigError: No sample is left, a place is not among the documents, the model is not there,
            or the file cannot be written.
    """
    if num_docs and gold_at is not None and gold_at >= num_docs:
        raise ConfigError(f"gold_at {gold_at}: of {num_docs} documents the last is {num_docs - 1}")
    source = resolve_model(model)
    chat, longest = load_chat(model, source), most_tokens(model, source)
    samples: list[ScratchpadSample] = []
    counts: list[int] = []
    num_too_long = num_without_gold = 0
    for example in examples:
        try:
            most = num_docs or None
            example = (
                shuffled(example, most, seed) if gold_at is None else placed(example, most, gold_at)
            )
            sample = make_sample(example, is_written=is_written, is_first=is_first)
        except ValueError:
            num_without_gold += 1
            continue
        count = len(chat.render(plain(sample.given))) + len(chat.encode(sample.learned)) + 1
        if count > longest:
            num_too_long += 1
            continue
        samples.append(sample)
        counts.append(count)
    if not samples:
        raise ConfigError(
            f"no sample is left: {num_without_gold} questions have no gold document or an empty "
            f"one, {num_too_long} are longer than the {longest} tokens of {model}"
        )
    if out is not None:
        _write(samples, counts, out)
    tokens = min(counts), median_low(counts), max(counts)
    return Built(tuple(samples), tokens, longest, num_too_long, num_without_gold)


def _write(samples: Iterable[ScratchpadSample], counts: Iterable[int], out: Path) -> None:
    layout = LAYOUTS["nq_lim"]
    partial = out.with_name(f".{out.name}.partial")
    with plainly(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            for sample, count in zip(samples, counts, strict=True):
                row = {
                    **layout.write(recast(sample.example, layout)),
                    "evidence": sample.evidence,
                    "sample": sample.text,
                    "given_chars": len(sample.given),
                    "num_tokens": count,
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        partial.replace(out)
