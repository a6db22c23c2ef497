"""What a context and its latents came to, for the trace: what was read, and where they looked."""

from itertools import groupby

import torch
from torch import Tensor

from pmi_kernel.core.task import titled
from pmi_kernel.core.trace import Passage, PassageUse
from pmi_kernel.systems.latent_t5.reading import Context


def as_read(context: Context) -> tuple[Passage, ...]:
    """Return the paragraphs as far as the encoder's limit let them be read."""
    read: list[list[str]] = [[] for _ in context.titles]
    for (at, _), places in groupby(range(len(context.ids)), key=context.places.__getitem__):
        line = "".join(context.pieces[place] for place in places)
        read[at].append(line.removeprefix(titled(context.titles[at], "")))
    last = context.places[-1][0] if context.places else -1
    uses = [PassageUse.USED] * last + [PassageUse.CUT] * (last >= 0)
    uses += [PassageUse.LEFT_OUT] * (len(context.titles) - len(uses))
    return tuple(
        Passage(
            index=at,
            title=title,
            text=" ".join(read[at]),
            score=0.0,
            rank=at + 1,
            use=use,
        )
        for at, (title, use) in enumerate(zip(context.titles, uses, strict=True))
    )


def looked(context: Context, weights: Tensor) -> dict[str, object]:
    """Return where each latent looked, word by word, in thousandths of its attention."""
    starts, lines, words = [], [], []
    for place, tokens_of in groupby(range(len(context.ids)), key=context.places.__getitem__):
        told: list[str] = []
        for at in tokens_of:
            piece = context.pieces[at]
            if not told or piece[:1].isspace():
                starts.append(at)
                told.append("")
            told[-1] += piece
        lines.append([*place, len(told)])
        words += [word.strip() for word in told]
    if not starts:
        return {"titles": [], "lines": [], "words": [], "attention": []}
    of_words = torch.stack(
        [part.sum(-1) for part in weights[:, : len(context.ids)].tensor_split(starts[1:], dim=1)], 1
    )
    return {
        "titles": list(context.titles),
        "lines": lines,
        "words": words,
        "attention": (1000 * of_words).round().int().tolist(),
    }
