"""Settings of the training of scratchpads, and of answering at once beside it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import Seed, Settings

_Count = Annotated[int, Field(ge=1, le=10_000_000)]

_TARGETS = {
    "q": "q_proj",
    "k": "k_proj",
    "v": "v_proj",
    "o": "o_proj",
    "g": "gate_proj",
    "u": "up_proj",
    "d": "down_proj",
}
_NAMED = re.compile(r"lora_r(\d{1,3})_a(\d{1,4})_([qkvogud]+)")

MODELS: Mapping[str, Mapping[str, object]] = {
    "mistral_7b": {
        "model": "mistralai/Mistral-7B-Instruct-v0.3",
        "dtype": "bfloat16",
        "precision": "bf16",
        "peft_config": "lora_r8_a16_qv",
        "max_new_tokens": 512,
    },
    "smollm2_135m": {
        "model": "smollm2-135m",
        "dtype": "float32",
        "peft_config": "lora_r8_a16_qv",
        "max_new_tokens": 128,
    },
}
"""What `--model_config` stands for."""
_WORLDS = "world:split={},n={},seed=0,paragraphs={}"
EXPERIMENTS: Mapping[str, Mapping[str, object]] = {
    "nq_lim_20_docs": {"data": "nq_lim-train", "eval_data": "nq_lim", "num_docs": 20},
    "hotpotqa": {"data": "hotpotqa-train", "eval_data": "hotpotqa", "num_docs": 10},
    "worlds_5_docs": {
        "data": _WORLDS.format("train", 100_000, 5),
        "eval_data": _WORLDS.format("dev", 200, 5),
        "num_docs": 5,
    },
}
"""What `--experiment_config` stands for."""


@dataclass(frozen=True, slots=True)
class Peft:
    """A LoRA to be trained."""

    rank: int
    alpha: float
    targets: tuple[str, ...]


class ScratchpadTraining(Settings):
    """What is trained on, and how a sample is made."""

    system: ClassVar[str] = "scratchpad"
    defaults: ClassVar[Mapping[str, object]] = {
        "epochs": 3.0,
        "lr": 1e-4,
        "weight_decay": 0.01,
        "schedule": "none",
        "gradient_checkpointing": True,
        "eval_every": "epoch",
        "save_every": "epoch",
        "best_by": "sub_em",
    }
    """Settings of the training that are other than elsewhere."""
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "smollm2": {
            **MODELS["smollm2_135m"],
            **EXPERIMENTS["worlds_5_docs"],
            "loss": "completion",
            "num_train_samples": 3_000,
            "num_val_samples": 24,
            "question_first": 0.5,
            "steps": 250,
            "batch": 8,
            "lr": 1e-3,
            "schedule": "linear",
            "warmup": 10.0,
            "eval_every": 50,
            "save_every": 25,
        },
        "minutes": {
            **MODELS["smollm2_135m"],
            "data": _WORLDS.format("train", 100_000, 2),
            "eval_data": _WORLDS.format("dev", 200, 2),
            "num_docs": 2,
            "loss": "completion",
            "num_train_samples": 200,
            "num_val_samples": 8,
            "steps": 20,
            "batch": 4,
            "lr": 1e-3,
            "eval_every": None,
            "save_every": 10,
        },
    }
    """Settings that go together, of the training's as well (`--preset`)."""
    borrows: ClassVar[tuple[str, ...]] = (
        "num_train_epochs",
        "scheduler",
        "checkpoint_path",
        "experiment_config",
        "model_config",
    )
    """Flags of the prototype that stand for settings."""
    switches: ClassVar[Mapping[str, Mapping[str, object]]] = {"load_checkpoint": {}}
    """Flags without a value that stand for settings: `--checkpoint_path` says it all."""

    data: str = "hotpotqa-train"
    """Questions to train on, as in pmi run."""
    eval_data: str = "hotpotqa"
    """Questions to evaluate on, as in pmi run; they share no id and no question with data."""
    num_train_samples: _Count = 1_000
    """Most samples to train on, the first ones."""
    num_val_samples: _Count = 1_000
    """Most questions of an evaluation, the first ones."""
    eval_split: Literal["val_anc", "val_pos"] = "val_anc"
    """Evaluate with all documents, in an order that the seed draws (val_anc), or with the gold ones
    alone (val_pos)."""
    train_method: Literal["sft", "scratchpad"] = "scratchpad"
    """Learn to answer at once, or to write down the evidence first."""
    loss: Literal["sample", "completion"] = "sample"
    """What is learned: every token of a sample, or what follows the documents and the question."""
    peft_config: str = "lora_r8_a16_qv"
    """The LoRA: a name as in lora_r8_a16_qv (rank, alpha, layers of q k v o g u d), a JSON file of
    PEFT's, or none: all weights are trained."""
    model: str = "smollm2-135m"
    """Causal chat model: smollm2-135m (embedded), a folder, or a Hub name."""
    dtype: Literal["auto", "float32", "bfloat16"] = "float32"
    """Number format of the model; a LoRA is float32."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ..., or auto: CUDA where there is one."""
    num_docs: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Documents of a sample, the gold ones and the first others; 0: all that there are."""
    shuffle: bool = True
    """Show the documents in an order that the seed draws; else as the data have them."""
    question_first: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the samples that have the question before the documents as well as after them."""
    max_new_tokens: Annotated[int, Field(ge=1, le=65_536)] = 512
    """Most new tokens of an evaluation's outputs."""
    last_answer_only: bool = True
    """An evaluation scores what follows the last answer mark; else all that was written."""
    init: str = ""
    """Begin at this checkpoint: a training's folder, or one of its checkpoints."""
    seed: Seed = 0
    """Seeds the LoRA and the order of the documents."""

    @classmethod
    def borrowed(cls, given: Mapping[str, str]) -> Mapping[str, object]:
        """Return the settings that the prototype's flags stand for.

        Raises:
            ConfigError: One has a value that is not offered.
        """
        found: dict[str, object] = {}
        for name, known in (("experiment_config", EXPERIMENTS), ("model_config", MODELS)):
            if name in given:
                if given[name] not in known:
                    raise ConfigError(
                        f"--{name} {given[name]}: there is no such name ({', '.join(known)})"
                    )
                found |= known[given[name]]
        if "num_train_epochs" in given:
            try:
                found["epochs"] = float(given["num_train_epochs"])
            except ValueError:
                told = given["num_train_epochs"]
                raise ConfigError(f"--num_train_epochs {told}: expected a number") from None
        if "scheduler" in given:
            found["schedule"] = given["scheduler"]
        if "checkpoint_path" in given:
            found["init"] = given["checkpoint_path"]
        return found

    def peft(self) -> Peft | None:
        """Return the LoRA to be trained; None where all weights are.

        Raises:
            ConfigError: There is no such name or file, or it is no plain LoRA.
        """
        name = self.peft_config
        if name == "none":
            return None
        if found := _NAMED.fullmatch(name):
            targets = tuple(_TARGETS[letter] for letter in dict.fromkeys(found[3]))
            return Peft(int(found[1]), float(found[2]), targets)
        try:
            told = json.loads(Path(name).read_text(encoding="utf-8"))
            rank, alpha, targets = told["r"], told["lora_alpha"], told["target_modules"]
            is_plain = not (told.get("use_dora") or told.get("use_rslora"))
            if told.get("peft_type", "LORA") == "LORA" and is_plain and rank > 0:
                return Peft(int(rank), float(alpha), tuple(targets))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"peft_config {name!r}: neither a name as in lora_r8_a16_qv, nor a JSON file of "
                f"PEFT's ({error})"
            ) from None
        raise ConfigError(f"peft_config {name!r}: only a plain LoRA can be trained")
