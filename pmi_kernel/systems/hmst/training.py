"""Settings of the training of a hierarchy."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import Seed, Settings

_Count = Annotated[int, Field(ge=1, le=10_000_000)]
_Weight = Annotated[float, Field(ge=0, le=100)]
_FLAGS = {
    "learning_rate": "lr",
    "batch_size": "batch",
    "gradient_accumulation_steps": "accumulation",
}


class HMSTTraining(Settings):
    """What a stage of a hierarchy's training learns from, and how."""

    system: ClassVar[str] = "hmst"
    defaults: ClassVar[Mapping[str, object]] = {
        "lr": 3e-4,
        "schedule": "cosine",
        "warmup": 0.02,
        "weight_decay": 0.1,
        "best_by": "loss",
        "best_is": "lowest",
    }
    """Settings of the training that are other than elsewhere."""
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "micro": {
            "text": "world:split=train,n=2000,paragraphs=4",
            "sequence": 128,
            "steps": 300,
            "batch": 8,
            "precision": "bf16",
            "eval_every": 50,
            "save_every": 50,
        },
        "memory": {
            "stage": "memory",
            "model_size": "upcycled:smollm2-135m",
            "data": "world:split=train,n=1000000,asked=2,paragraphs=4,unanswerable=0.25",
            "eval_data": "world:split=dev,n=200,seed=2,paragraphs=4,unanswerable=0.25",
            "steps": 300,
            "batch": 4,
            "lr": 1e-3,
            "schedule": "linear",
            "warmup": 10.0,
            "weight_decay": 0.01,
            "precision": "bf16",
            "eval_every": 50,
            "save_every": 25,
        },
        "controller": {
            "stage": "controller",
            "data": "world:split=train,n=200,asked=1,paragraphs=4",
            "eval_data": "world:split=dev,n=200,seed=3,paragraphs=4",
            "eval_questions": 48,
            "steps": 200,
            "batch": 64,
            "lr": 1e-3,
            "schedule": "linear",
            "warmup": 0.0,
            "weight_decay": 0.0,
            "clip": 0.5,
            "eval_every": 40,
            "save_every": 8,
        },
    }
    """Settings that go together, of the training's as well (`--preset`)."""
    borrows: ClassVar[tuple[str, ...]] = tuple(_FLAGS)
    """Flags of the prototype that stand for settings."""
    switches: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "mixed_precision": {"precision": "bf16"},
        "use_8bit_optimizer": {"optimizer": "adamw8bit"},
    }
    """Flags without a value that stand for settings."""

    stage: Literal["language", "memory", "controller"] = "language"
    """language: the base learns to go on with a text. memory: all that remembers learns from facts
    that are told first and asked later, the critic with it. controller: what decides learns by PPO
    what a question is worth."""
    model_size: str = "micro"
    """The base: micro, tiny, small, base, large, or upcycled:NAME of a dense causal model; that of
    init where it is named."""
    text: str = ""
    """What is read: a text file, a JSONL file with a "text" in each record, or questions and their
    paragraphs, as in pmi data tokenize."""
    pretokenized: str = ""
    """In place of it: a folder of pmi data tokenize."""
    tokenizer_path: str = ""
    """The base's tokenizer: a folder, or a Hub name; without it a byte-level BPE is trained on the
    text."""
    val_split: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the documents that is held out, 0.1 where there is no val_file; of pretokenized
    text, the last tokens."""
    val_file: str = ""
    """What is held out: a text of its own, as in text."""
    sequence: Annotated[int, Field(ge=8, le=1_000_000)] = 512
    """Tokens of a sample."""
    steps_per_epoch: _Count | None = None
    """Steps that count as an epoch; None: as many as the text has."""
    eval_samples: _Count = 64
    """Most samples of an evaluation."""
    data: str = ""
    """memory, controller: questions to train on, as in pmi run; what stands in their contexts is
    told."""
    eval_data: str = ""
    """memory, controller: questions to evaluate on, that share no id and no question with data."""
    eval_questions: _Count = 24
    """Most questions of an evaluation, the first ones."""
    most_evidence: _Count = 3
    """memory: most texts that an answer is learned from; as many as drawn."""
    without_gold: Annotated[float, Field(ge=0, le=1)] = 0.1
    """memory: share of the answerable questions whose supporting text is kept from the base, so
    that the answer is "unknown"; those of the data that have no answer come on top."""
    shallow: Annotated[float, Field(ge=0, le=1)] = 0.25
    """memory: share of the steps that answer from the first blocks, as far as an early exit."""
    retrieval: Annotated[float, Field(ge=0, le=100)] = 1.0
    """memory: weight of the loss on finding what supports the answer, in each of both tiers."""
    criticism: Annotated[float, Field(ge=0, le=100)] = 1.0
    """memory: weight of the critic's loss."""
    accuracy: _Weight = 1.0
    """controller: reward of a right answer, "unknown" where nothing was told."""
    latency: _Weight = 0.3
    """controller: what is taken off for searches, as a share of those of always."""
    compute: _Weight = 0.2
    """controller: what is taken off for operations, as a share of those of always."""
    calibration: _Weight = 0.5
    """controller: reward of a confidence that is right: the critic's where it was asked, else one
    half."""
    rounds: _Count = 4
    """controller: steps that learn from the same answers."""
    entropy: Annotated[float, Field(ge=0, le=1)] = 0.01
    """controller: weight of the policy's entropy."""
    balance: Annotated[float, Field(ge=0, le=100)] = 0.01
    """Weight of the load-balancing loss."""
    rank: _Count = 8
    """Of each expert's difference, where the base is upcycled."""
    state: _Count = 256
    """Numbers of an episodic summary."""
    dimension: _Count = 256
    """Numbers of a semantic vector."""
    init: str = ""
    """Begin at this checkpoint: a training's folder, or one of its checkpoints."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ..., or auto: CUDA where there is one."""
    seed: Seed = 0
    """Seeds random weights and what is held out."""

    @classmethod
    def borrowed(cls, given: Mapping[str, str]) -> Mapping[str, object]:
        """Return the settings that the prototype's flags stand for.

        Raises:
            ConfigError: One is no number.
        """
        found: dict[str, object] = {}
        for name, value in given.items():
            try:
                found[_FLAGS[name]] = float(value) if name == "learning_rate" else int(value)
            except ValueError:
                raise ConfigError(f"--{name} {value}: expected a number") from None
        return found

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if self.stage == "controller" and not self.init:
            raise ValueError("stage controller needs init: a hierarchy whose memories were trained")
        if self.stage != "language":
            if not (self.data and self.eval_data):
                raise ValueError(f"stage {self.stage} needs data and eval_data")
            if self.text or self.pretokenized:
                raise ValueError(f"stage {self.stage} reads no text; leave it out")
        elif self.data or self.eval_data:
            raise ValueError("stage language reads a text, not data")
        elif bool(self.text) == bool(self.pretokenized):
            raise ValueError("text or pretokenized is needed, and not both")
        if self.val_file and self.val_split is not None:
            raise ValueError("val_split and val_file exclude each other")
        return self
