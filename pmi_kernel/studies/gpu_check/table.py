"""What is checked: one row a check, with what it shows and how far apart two ways may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENGINE = ("torch", "transformers", "tokenizers", "safetensors", "jaxtyping", "jinja2", "filelock")
"""Packages without which no model is served."""

_RUN = (*ENGINE, "pydantic", "psutil", "tqdm")
_JOB = (*_RUN, "llguidance", "bm25s")
_VLLM = (*_RUN, "llguidance", "vllm")

Measures = Mapping[str, Any]
"""What a check measured, numbers; a name ends in its unit."""


class SkippedError(Exception):
    """A check that cannot be made on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What every check is given.

    Attributes:
        device: `cuda` or `cpu`.
        model: The model, as engines name it.
        is_small: Whether sizes are those of a trial on the CPU.
        folder: A folder for what the checks write.
    """

    device: str
    model: str
    is_small: bool
    folder: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: Its name.
        shows: What it shows, in words.
        function: `module:function`; takes a `Setting` and returns `Measures`.
        bounds: Measure -> the largest value with which the check passes.
        needs: Packages without which it is skipped.
        limit_s: It is ended after so long.
    """

    name: str
    shows: str
    function: str
    bounds: Mapping[str, float] = field(default_factory=dict)
    needs: tuple[str, ...] = ENGINE
    limit_s: float = 60.0


MACHINE = Check(
    "machine",
    "What the machine is, and which model there is.",
    f"{__package__}.machine:machine",
    limit_s=120,
)
"""Comes before all others, which are given its model."""

_CHECKS = (
    Check(
        "float32",
        "Log-probabilities on each device, base and under a memory, are the CPU's (float32; TF32 "
        "off by NVIDIA_TF32_OVERRIDE=0).",
        f"{__package__}.agreement:float32",
        {"base_apart_nats": 1e-3, "memory_apart_nats": 1e-3},
    ),
    Check(
        "bfloat16",
        "bfloat16 scores are near those of float32, in the mean; training on it lowers the loss.",
        f"{__package__}.agreement:bfloat16",
        {"base_apart_mean_nats": 0.3, "memory_apart_mean_nats": 0.3, "loss_last_over_first": 1.0},
    ),
    Check(
        "strategies",
        "hot, inplace and merge_reload give the same scores (float32), and after each the base's "
        "are bit-equal to before.",
        f"{__package__}.agreement:strategies",
        {"apart_nats": 1e-3, "base_moved_nats": 0.0},
    ),
    Check(
        "mixed_batch",
        "A row of a batch in which every row has a memory of its own, or none, is what it is alone "
        "(float32); so is a request among others.",
        f"{__package__}.agreement:mixed_batch",
        {"row_apart_nats": 1e-3, "request_apart_nats": 1e-3},
    ),
    Check(
        "training",
        "Memories trained together are those trained one by one (float32; weights under plain SGD, "
        "losses under Adam), all blocks or the last half; losses are those of the CPU.",
        f"{__package__}.agreement:training",
        {
            "weights_apart_rel": 1e-4,
            "losses_apart_rel": 1e-4,
            "device_losses_apart_rel": 1e-3,
        },
        limit_s=120,
    ),
    Check(
        "guided",
        "Guided texts match their pattern; a drawn text depends on its seed alone.",
        f"{__package__}.agreement:guided",
        {"unmatched_count": 0.0, "draws_apart_count": 0.0},
        needs=(*ENGINE, "llguidance"),
    ),
    Check(
        "workers",
        "Two workers on one GPU, and one on each GPU where there are several, merge to what one "
        "worker gives (float32, base weights verified after each episode).",
        f"{__package__}.workers:workers",
        {"facts_apart_count": 0.0, "numbers_apart": 1e-3},
        needs=_RUN,
        limit_s=120,
    ),
    Check(
        "swap",
        "Seconds to attach and to detach a memory, by each strategy.",
        f"{__package__}.speed:swap",
        needs=_RUN,
    ),
    Check(
        "injections",
        "Memories trained per second, K together; attaching one by hot costs microseconds more.",
        f"{__package__}.speed:injections",
        needs=_RUN,
        limit_s=120,
    ),
    Check(
        "tokens",
        "Tokens per second of a batch without memories and with one a row, ours and PEFT's; and of "
        "the engine layer against bare transformers.",
        f"{__package__}.speed:tokens",
        needs=_RUN,
        limit_s=120,
    ),
    Check(
        "vllm_hot",
        "vLLM's scores are near transformers', base and under a memory, and so are those of "
        "requests with and without memories in one batch (bfloat16 on CUDA).",
        f"{__package__}.serving:hot",
        {
            "base_apart_mean_nats": 0.3,
            "memory_apart_mean_nats": 0.3,
            "company_apart_mean_nats": 0.3,
            "base_moved_nats": 0.0,
        },
        needs=_VLLM,
        limit_s=180,
    ),
    Check(
        "vllm_inplace",
        "vLLM with the memory in its weights scores near transformers, and is bit-equal after.",
        f"{__package__}.serving:inplace",
        {"memory_apart_mean_nats": 0.3, "base_moved_nats": 0.0},
        needs=_VLLM,
        limit_s=150,
    ),
    Check(
        "job",
        "Episodes per minute of the whole job, against the original procedure (merge, save, purge, "
        "reload for each memory).",
        f"{__package__}.speed:job",
        needs=_JOB,
        limit_s=240,
    ),
    Check(
        "vllm_merge_reload",
        "vLLM by the original procedure scores near transformers, and is bit-equal after.",
        f"{__package__}.serving:merge_reload",
        {"memory_apart_mean_nats": 0.3, "base_moved_nats": 0.0},
        needs=_VLLM,
        limit_s=240,
    ),
    Check(
        "vllm_job",
        "Episodes per minute of the whole job on vLLM, one at a time and 16 at once.",
        f"{__package__}.speed:vllm_job",
        needs=(*_JOB, "vllm"),
        limit_s=240,
    ),
)

CHECKS: Mapping[str, Check] = {check.name: check for check in _CHECKS}
"""Every check by its name, in the order in which they run: what matters most comes first."""
