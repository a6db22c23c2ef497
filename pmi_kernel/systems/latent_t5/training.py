"""Settings of the training of both systems."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import Seed, Settings

TINY = "tiny"
"""In place of a name: a small T5 of random weights, with a tokenizer of the training texts."""
OWN = "t5"
"""In place of an encoder's name: T5's own."""

_Count = Annotated[int, Field(ge=1, le=10_000)]
_Tokens = Annotated[int, Field(ge=1, le=1_000_000)]
_Rate = Annotated[float, Field(gt=0, le=100)]

_AS_PROTOTYPE: Mapping[str, object] = {
    "data": "hotpotqa-train",
    "eval_data": "hotpotqa",
    "epochs": 3.0,
    "batch": 8,
    "accumulation": 2,
    "warmup": 0.05,
}
_WORLDS = "world:split=train,n=3000000,asked=4,paragraphs="
_DEV = "world:split=dev,n=200,paragraphs=3"
_TINY: Mapping[str, object] = {
    "t5": TINY,
    "data": f"{_WORLDS}10",
    "eval_data": _DEV,
    "questions": 4,
    "quote": 0.25,
    "copy_steps": 700,
    "paragraphs": (1, 3, 10),
    "grow_at": (900, 2_500),
    "steps": 2_530,
    "batch": 16,
    "precision": "bf16",
    "schedule": "linear",
    "warmup": 100.0,
    "eval_every": 250,
    "save_every": 250,
    "gradient_checkpointing": False,
}


class T5Training(Settings):
    """What both systems are trained on, and how."""

    defaults: ClassVar[Mapping[str, object]] = {
        "gradient_checkpointing": True,
        "eval_every": "epoch",
        "save_every": "epoch",
        "best_by": "loss",
        "best_is": "lowest",
    }
    """Settings of the training that are other than elsewhere."""
    borrows: ClassVar[tuple[str, ...]] = ("batch_size", "num_epochs", "grad_accum_steps")
    """Flags of the prototype that stand for settings."""
    switches: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "no_mixed_precision": {"precision": "float32"}
    }
    """Flags without a value that stand for settings."""

    data: str = "hotpotqa-train"
    """Questions to train on, as in pmi run."""
    eval_data: str = "hotpotqa"
    """Questions to evaluate on, as in pmi run; they share no id and no question with data."""
    eval_questions: _Count = 200
    """Most questions of an evaluation, the first ones."""
    questions: _Count = 1
    """Questions of a sample, so many of the data in a row; those about one context share it."""
    paragraphs: tuple[_Count, ...] = ()
    """Most paragraphs of a context, at first and after each of grow_at: what supports the answer,
    then the others that are spelled most like the question. None: all of them."""
    grow_at: tuple[_Tokens, ...] = ()
    """Steps at which contexts grow, one fewer than paragraphs."""
    quote: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the questions to which what supports the answer is to be said ("quote: …"): more to
    be copied, so that copying is learned sooner. In training only."""
    copy_steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Steps at first in which a paragraph is named and sentences of it are copied, out of up to
    three with titles alike: by T5 from what it reads itself, and from the latents where there are
    some, which are to look at all of it and at nothing else. For weights that know nothing yet."""
    t5: str = "google/flan-t5-base"
    """Encoder-decoder: tiny (random weights), a folder, or a Hub name."""
    max_answer_tokens: _Tokens = 32
    """Most tokens of an answer; the rest is cut off and counted."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ..., or auto: CUDA where there is one."""
    init: str = ""
    """Begin at this checkpoint's weights: a training's folder, or one of its checkpoints."""
    seed: Seed = 0
    """Seeds random weights and all draws."""

    @classmethod
    def borrowed(cls, given: Mapping[str, str]) -> Mapping[str, object]:
        """Return the settings that the prototype's flags stand for.

        A step of ours is all of `batch_size` times `grad_accum_steps` samples.

        Raises:
            ConfigError: One is no number.
        """
        try:
            size, parts = int(given.get("batch_size", 8)), int(given.get("grad_accum_steps", 1))
            found: dict[str, object] = {"batch": size * parts, "accumulation": parts}
            if "num_epochs" in given:
                found["epochs"] = float(given["num_epochs"])
        except ValueError:
            told = ", ".join(f"--{name} {value}" for name, value in given.items())
            raise ConfigError(f"{told}: expected numbers") from None
        return found

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if len(self.grow_at) != max(0, len(self.paragraphs) - 1):
            raise ValueError(
                f"grow_at has {len(self.grow_at)} steps for {len(self.paragraphs)} sizes of "
                "paragraphs; it needs one fewer than these"
            )
        if any(a >= b for a, b in zip(self.grow_at, self.grow_at[1:], strict=False)):
            raise ValueError(f"grow_at {self.grow_at} must rise")
        return self

    def most_paragraphs(self, step: int) -> int | None:
        """Return the most paragraphs of a context at a step; None for any number."""
        if not self.paragraphs:
            return None
        return self.paragraphs[sum(step >= at for at in self.grow_at)]


class BaselineT5Training(T5Training):
    """How a T5 that reads its context is trained."""

    system: ClassVar[str] = "baseline_t5"
    defaults: ClassVar[Mapping[str, object]] = {**T5Training.defaults, "lr": 1e-4}
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "baseline_t5_hotpotqa": _AS_PROTOTYPE,
        TINY: {
            **_TINY,
            "grow_at": (900, 1_700),
            "steps": 1_720,  # three and ten paragraphs take twice as long as with latents
            "max_input_tokens": 1_280,
            "lr": 1e-3,
        },
    }

    max_input_tokens: _Tokens = 512
    """Most tokens of question and context; the rest is cut off and counted."""


class LatentT5Training(T5Training):
    """How a context encoder, a selector of latents and a T5 are trained together."""

    system: ClassVar[str] = "latent_t5"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "latent_t5_hotpotqa": {**_AS_PROTOTYPE, "aux_loss_weight": 1.0},
        TINY: {
            **_TINY,
            "encoder": OWN,
            "latents": "asked",
            "latent_dropout": 0.0,
            "num_latent_heads": 4,
            "vary_latents": True,
            "init_gate": 1.0,
            "max_context_tokens": 1_280,
            "aux_loss_weight": 1.0,
            "lr_latent": 1e-3,
            "lr_t5": 1e-3,
            "lr_encoder": 1e-3,
        },
    }

    encoder: str = "distilbert-base-uncased"
    """Context encoder: t5 (T5's own, of which there is one then), a folder, or a Hub name."""
    latents: Literal["blind", "asked"] = "blind"
    """Whether the latents are read out without knowing the question (blind), or after they have
    looked at it (asked)."""
    num_latents: _Count = 32
    """Latent vectors."""
    vary_latents: bool = False
    """Whether every second step uses fewer of them, as drawn: the first half, quarter or eighth. So
    one checkpoint can be looked at with any number (nested dropout: Rippel et al. 2014,
    arXiv:1402.0915)."""
    num_latent_layers: Annotated[int, Field(ge=1, le=100)] = 2
    """Cross-attention blocks that read them out of the context."""
    num_latent_heads: Annotated[int, Field(ge=1, le=1_000)] = 8
    """Heads of each."""
    latent_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout in those blocks."""
    init_gate: Annotated[float, Field(ge=-10, le=10)] = 0.0
    """The gate at the start, before its tanh. With 0 a T5 that was trained before begins as it was;
    one of random weights has nothing to lose, and learns to look at latents that it sees."""
    max_context_tokens: _Tokens = 768
    """Most tokens of a context, or what the encoder can take; the rest is cut off and counted."""
    max_question_tokens: _Tokens = 64
    """Most tokens of a question; the rest is cut off and counted."""
    aux_loss_weight: Annotated[float, Field(ge=0, le=1_000)] = 0.1
    """Weight of -log of the latents' attention mass on the supporting sentences."""
    lr_latent: _Rate = 1e-4
    """Learning rate of selector, projection and gate, at its highest."""
    lr_t5: _Rate = 1e-5
    """Learning rate of T5, at its highest."""
    lr_encoder: _Rate = 1e-5
    """Learning rate of the context encoder, at its highest, where it is not T5's own."""
    freeze_t5_initially: Annotated[str, Field(pattern=r"^\d{1,9}( ?(steps?|epochs?))?$")] = "0"
    """How long T5 stays as it is: so many steps, or as in "1 epoch"."""

    def is_t5_frozen(self, step: int, epoch: int) -> bool:
        """Return whether T5 stays as it is at a step."""
        number = int("".join(filter(str.isdigit, self.freeze_t5_initially)))
        return (epoch if "epoch" in self.freeze_t5_initially else step) < number
