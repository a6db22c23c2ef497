"""What the hierarchy's fast forms save over plain loops, and what leaving out saves."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from pmi_kernel.studies.bench.figures import show_figures


def hierarchy(
    tokens: int = 512,
    scanned: int = 2_048,
    turns: int = 5,
    seed: int = 0,
    out: Path | None = None,
) -> dict[str, float]:
    """Experts against nested loops, the chunked scan against the sequential, and what is left out.

    All of the micro size, from random weights, in turns; the medians are compared. Leaving out is
    told as the share of seconds that is saved beside the share of operations that is.

    Args:
        tokens: That the experts see.
        scanned: That the state-space memory reads.
        turns: Of each side; the first one warms up.
        seed: Of weights and tokens.
        out: Write the figures here too, as JSON.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from pmi_kernel.systems.hmst import BaseMoEModel, EpisodicMemorySSM, get_micro_config
    from pmi_kernel.systems.hmst.model import loops

    torch.manual_seed(seed)
    size = get_micro_config()
    model, memory = BaseMoEModel(size).eval(), EpisodicMemorySSM(size.hidden_size).eval()
    block = model.lm.model.layers[0].mlp
    x, long = torch.randn(1, tokens, size.hidden_size), torch.randn(1, scanned, size.hidden_size)
    blocks: Any = memory.scan.layers
    mixers = [one.mixer for one in blocks]
    ids = torch.randint(size.vocab_size, (1, tokens))
    half = size.num_hidden_layers // 2

    def counted(**how: Any) -> int:
        with FlopCounterMode(display=False) as counter:
            model(ids, last_only=True, **how)
        return counter.get_total_flops()

    with torch.inference_mode():
        figures = _timed(
            {
                "experts": lambda: block(x),
                "experts_in_loops": lambda: loops.mixture(block, x),
                "scan": lambda: [mixer(long) for mixer in mixers],
                "scan_in_a_loop": lambda: [loops.scan(mixer, long) for mixer in mixers],
                "whole_model": lambda: model(ids, last_only=True),
                "half_the_layers": lambda: model(ids, last_only=True, num_layers=half),
                "one_expert": lambda: model(ids, last_only=True, experts=(0,)),
            },
            turns,
        )
        whole, depth, one = counted(), counted(num_layers=half), counted(experts=(0,))
    figures["experts_speedup"] = figures["experts_in_loops_ms"] / figures["experts_ms"]
    figures["scan_speedup"] = figures["scan_in_a_loop_ms"] / figures["scan_ms"]
    for name, cost in (("half_the_layers", depth), ("one_expert", one)):
        figures[f"{name}_saves_time"] = 1 - figures[f"{name}_ms"] / figures["whole_model_ms"]
        figures[f"{name}_saves_flops"] = 1 - cost / whole
    return show_figures(figures, out)


def _timed(sides: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Milliseconds of each side, the median of the turns after the first."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns + 1):
        for name, do in sides.items():
            began = time.perf_counter()
            do()
            found[name].append(1000 * (time.perf_counter() - began))
    return {f"{name}_ms": median(spent[1:]) for name, spent in found.items()}
