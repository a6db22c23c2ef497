"""Settings of the meta-training of retrievable gradients."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pmi_kernel.core.settings import Seed, Settings
from pmi_kernel.systems.regrad.authors import FILES, NAMES, borrowed

_Count = Annotated[int, Field(ge=1, le=10_000)]


_AUTHORS: Mapping[str, object] = {
    "dtype": "bfloat16",
    "depth": 0.5,
    "scale": 32.0,
    "alpha": "tie",
    "init_alpha": 1e-2,
    "alpha_lr": 4e-4,
    "max_context_len": 1536,
    "use_simple_prompt": False,
    "locality": 0.0,
    "passages": (1,),
    "questions": 1,
    "only_related": False,
    "epochs": 1.0,
    "batch": 16,
    "lr": 4e-4,
    "weight_decay": 0.01,
    "clip": 0.5,
    "schedule": "linear",
    "warmup": 0.1,
    "eval_every": 1000,
    "precision": "bf16",
    "gradient_checkpointing": False,
}
"""What the authors' files have in common, for several large GPUs."""


class RegradTraining(Settings):
    """What a start is trained on, and how a step on passages is taken."""

    system: ClassVar[str] = "regrad"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "regrad_smollm2": {
            "data": "world:split=train,n=3000000,asked=3,paragraphs=2,unanswerable=0.05",
            "dtype": "bfloat16",
            "rank": 64,
            "scale": 64.0,
            "passages": (1, 2, 4, 8, 8),
            "first_token": 4.0,
            "locality": 6.0,
            "locality_rows": 24,
            "locality_texts": 500,
            "steps": 600,
            "batch": 16,
            "lr": 1e-3,
            "warmup": 20.0,
            "schedule": "linear",
            "weight_decay": 0.01,
            "clip": 0.5,
            "eval_every": 80,
            "save_every": 20,
            "eval_questions": 64,
        },
        "regrad_1b": {**_AUTHORS, "model": "meta-llama/Llama-3.2-1B-Instruct", "rank": 16},
        "regrad_3b": {**_AUTHORS, "model": "meta-llama/Llama-3.2-3B-Instruct", "rank": 8},
        "regrad_8b": {**_AUTHORS, "model": "meta-llama/Llama-3.1-8B-Instruct", "rank": 4},
    }
    """Settings that go together, of the training's as well (`--preset`): for the embedded model on
    two cores, and the authors' own for three larger ones."""
    borrows: ClassVar[tuple[str, ...]] = (*FILES, *NAMES)
    """Flags of the authors' script that stand for settings; see `authors`."""

    data: str = "world:split=train,n=3000000,asked=3,paragraphs=2,unanswerable=0.08"
    """Questions to train on, as in pmi run; fictional worlds are made as they are read."""
    eval_data: str = "world:split=dev,n=64,paragraphs=2"
    """Questions to evaluate on, as in pmi run; they share no id and no question with data."""
    eval_questions: _Count = 64
    """Most questions of an evaluation, the first ones."""
    model: str = "smollm2-135m"
    """Causal chat model: smollm2-135m (embedded), a folder, or a Hub name."""
    dtype: Literal["auto", "float32", "bfloat16"] = "float32"
    """Number format of the frozen model; what is trained is float32."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ..., or auto: CUDA where there is one."""
    init: str = ""
    """Begin at this start instead of a random one: a checkpoint of such a training, or its folder.
    It has the same rank, scale, layers and kind of step sizes."""
    rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Rank of the LoRA."""
    scale: Annotated[float, Field(gt=0, le=10_000)] = 32.0
    """Scale of the LoRA: its update counts scale / rank times (lora_alpha)."""
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    """Last parts of the names of the linear layers that carry it."""
    depth: Annotated[float, Field(gt=0, le=1)] = 1 / 3
    """Share of the model's blocks that carry it, the last ones."""
    layers: tuple[Annotated[int, Field(ge=0, le=10_000)], ...] = ()
    """Blocks that carry it, from 0, in place of a share."""
    alpha: Literal["full", "tie", "same", "fix"] = "tie"
    """Step sizes: one a weight (full), a tensor (tie), for all (same), or not trained (fix)."""
    init_alpha: Annotated[float, Field(gt=0, le=1_000)] = 0.5
    """Step sizes at the start."""
    alpha_lr: Annotated[float, Field(gt=0, le=100)] = 5e-3
    """Learning rate of the step sizes, at its highest."""
    order: Literal["second", "first"] = "second"
    """Whether the step's gradient is differentiated too (second), or taken as it is (first)."""
    graphs: Literal["joint", "single"] = "joint"
    """All passages' graphs at once, or one at a time: the same gradient, slower, in less memory."""
    outer_loss: bool = True
    """Train for the answers after the step; without it for the passages' text alone, the plain
    next-token baseline."""
    first_token: Annotated[float, Field(gt=0, le=1_000)] = 1.0
    """How many times the first token of an answer counts in its loss. It has to be found by the
    question alone, and once it is there the others follow from it."""
    passages: Annotated[tuple[_Count, ...], Field(min_length=1)] = (1, 1, 2, 3, 4, 6, 8)
    """How many passages a question's memory holds, one of these at random; those that do not answer
    it are other questions' of the micro-batch."""
    alike: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the samples whose other passages are of their own questions' contexts, as far as
    these have some: in worlds, about things of one kind whose names are alike."""
    only_related: bool = True
    """Learn the passages that answer only; else the first of the context too."""
    max_context_len: Annotated[int, Field(ge=2, le=1_000_000)] = 1024
    """Most tokens of a passage; the rest is cut off."""
    blind_context: bool = True
    """Ask without the passages in the prompt; else with them."""
    use_simple_prompt: bool = True
    """Ask in a plain text (`Question: … Answer:`); else in the model's chat form."""
    locality: Annotated[float, Field(ge=0, le=1_000)] = 1.0
    """Weight of the locality loss: the mean KL divergence, in nats per token, from the base model
    on well-known questions and on texts of its own, under a question's memory and without one."""
    locality_rows: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Texts and questions that a micro-batch rehearses."""
    locality_texts: Annotated[int, Field(ge=0, le=100_000)] = 200
    """Texts that the base model writes once, at the beginning, to be rehearsed."""
    questions: _Count = 3
    """Questions of a sample, so many of the data in a row, about whose passages they are asked."""
    seed: Seed = 0
    """Seeds what is drawn for a sample, the initial LoRA and the rehearsed texts."""

    @classmethod
    def borrowed(cls, given: Mapping[str, str]) -> Mapping[str, object]:
        """Return the settings that such flags stand for.

        Raises:
            ConfigError: As `authors.borrowed`.
        """
        return borrowed(given)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.graphs == "single" and (self.order == "first" or not self.outer_loss):
            raise ValueError("graphs=single is a way to take second-order gradients")
        return self
