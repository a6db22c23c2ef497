"""The four files and the names that the authors of retrievable gradients train with, as settings.

Their `peft_config.json` is PEFT's own; `train_args.json` and `learner_config.json` have the fields
of their `TrainArgs` and `LearnerConfig`; `generation_config.json` is transformers' own. What their
code fixes (AdamW's weight decay of 0.01, clipping at 0.5, 10 % warm-up, seed 42) is set here too.
A field that neither they nor those libraries have is refused by name, and so is a value of one that
means nothing here.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.data.derived import DOMAINS, domain_files

FILES = ("peft_config_file", "train_args_file", "generation_config_file", "learner_config_file")
NAMES = ("train_set_name", "dev_set_name", "domain", "data_aug")

_FIXED: Mapping[str, object] = {
    "weight_decay": 0.01,
    "clip": 0.5,
    "warmup": 0.1,
    "seed": 42,
    "eval_first": False,
    "locality": 0.0,
    "questions": 1,
    "passages": (3,),
}
_Values = dict[str, object]


def borrowed(given: Mapping[str, str]) -> _Values:
    """Return the settings, of the training and of its learner, that files and names stand for.

    Args:
        given: Some of `FILES` and `NAMES`, with what was given for each.

    Raises:
        ConfigError: A file cannot be read, or has a field or a value that means nothing here.
    """
    found: _Values = dict(_FIXED)
    readers: Mapping[str, Callable[[dict[str, Any], str], _Values]] = {
        "peft_config_file": _peft,
        "train_args_file": _train_args,
        "generation_config_file": _generation,
        "learner_config_file": _learner,
    }
    for name, read in readers.items():
        if name in given:
            found |= read(_read(Path(given[name])), given[name])
    found |= _data(given)
    if "lr" in found:
        found["alpha_lr"] = found["lr"]  # theirs has one rate for all
    if "num_samples_for_eval" in found:
        count = found.pop("num_samples_for_eval")
        sets = DOMAINS[given["domain"]] if "domain" in given else ("",)
        found["eval_questions"] = int(str(count)) * len(sets)  # theirs is for each set
    return found


def _data(given: Mapping[str, str]) -> _Values:
    if "domain" not in given:
        if left := [name for name in NAMES if name in given]:
            raise ConfigError(f"--{left[0]} needs --domain, one of {', '.join(DOMAINS)}")
        return {}
    domain, folder = given["domain"], given.get("data_aug", "data_aug")
    if domain not in DOMAINS:
        raise ConfigError(f"--domain {domain}: expected one of {', '.join(DOMAINS)}")

    def source(name: str) -> str:
        return "mix:" + ",".join(domain_files(domain, name, folder))

    return {
        "data": source(given.get("train_set_name", "train")),
        "eval_data": source(given.get("dev_set_name", "dev")),
    }


def _peft(fields: dict[str, Any], where: str) -> _Values:
    from peft import LoraConfig

    known = LoraConfig().to_dict()
    _refuse_unknown(fields, known, where)
    if fields.get("peft_type", "LORA") != "LORA":
        raise ConfigError(f"{where}: peft_type {fields['peft_type']!r}: only LORA is trained here")
    used = {"peft_type", "task_type", "r", "lora_alpha", "target_modules", "layers_to_transform"}
    named_only = {"base_model_name_or_path", "inference_mode", "revision", "layers_pattern"}
    for name in fields.keys() - used - named_only:
        if fields[name] != known[name] and fields[name] not in (None, 0, 0.0, "none", [], {}):
            raise ConfigError(f"{where}: {name} {fields[name]!r} is not offered here")
    if fields.get("task_type", "CAUSAL_LM") not in (None, "CAUSAL_LM"):
        raise ConfigError(f"{where}: task_type {fields['task_type']!r}: only CAUSAL_LM is trained")
    targets, layers = fields.get("target_modules"), fields.get("layers_to_transform")
    if targets is not None and not isinstance(targets, list):
        raise ConfigError(f"{where}: target_modules: expected a list of names, found {targets!r}")
    found: _Values = {
        "rank": fields.get("r", known["r"]),
        "scale": float(fields.get("lora_alpha", known["lora_alpha"])),
    }
    if targets:
        found["targets"] = tuple(targets)
    if layers is None:
        return {**found, "depth": 1.0}
    return {**found, "layers": (layers,) if isinstance(layers, int) else tuple(layers)}


def _train_args(fields: dict[str, Any], where: str) -> _Values:
    schedules = {"CosineAnnealingLR": "cosine", "LinearLR": "linear"}
    precisions = {"bf16": "bf16", "fp16": "fp16", "no": "float32"}
    taken: Mapping[str, Callable[[Any], _Values]] = {
        "meta_batch_size": lambda value: {"batch": value},
        "meta_lr": lambda value: {"lr": value},
        "num_epochs": lambda value: {"epochs": value},
        "logging_steps": lambda value: {"log_every": value},
        "eval_steps": lambda value: {"eval_every": value, "save_every": value},
        "do_eval": lambda value: {} if value else {"eval_every": None},
        "save_best": lambda value: _only(True, value),
        "num_samples_for_eval": lambda value: {"num_samples_for_eval": value},
        "eval_only_loss": lambda value: _only(False, value),
        "train_with_only_related": lambda value: {"only_related": value},
        "eval_with_only_related": lambda value: {},
        "mixed_precision": lambda value: {"precision": precisions[value]},
        "lr_scheduler": lambda value: {"schedule": schedules[value]},
        "max_context_len": lambda value: {"max_context_len": value},
        "outer_loss": lambda value: {"outer_loss": value},
        "blind_context": lambda value: {"blind_context": value},
    }
    given = {"lr_scheduler": "CosineAnnealingLR", "mixed_precision": "fp16", **fields}
    return _taken(given if fields else fields, taken, where)


def _learner(fields: dict[str, Any], where: str) -> _Values:
    dtypes = {"default": "float32", "auto": "auto", "bf16": "bfloat16", "fp32": "float32"}
    taken: Mapping[str, Callable[[Any], _Values]] = {
        "base_model_name_or_path": lambda value: {"model": value},
        "init_alpha": lambda value: {"init_alpha": value},
        "alpha_mode": lambda value: {"alpha": value},
        "use_simple_prompt": lambda value: {"use_simple_prompt": value},
        "load_dtype": lambda value: {"dtype": dtypes[value]},
        "outer_loss": lambda value: {"outer_loss": value},
        "blind_context": lambda value: {"blind_context": value},
    }
    return _taken(fields, taken, where)


def _generation(fields: dict[str, Any], where: str) -> _Values:
    """Nothing is set: an evaluation scores greedy decoding, however long the answer."""
    from transformers import GenerationConfig

    known = {**vars(GenerationConfig()), "transformers_version": None, "_from_model_config": None}
    _refuse_unknown(fields, known, where)
    for name, greedy in (("do_sample", False), ("num_beams", 1)):
        if fields.get(name) not in (None, greedy):
            raise ConfigError(f"{where}: {name} {fields[name]!r}: evaluations decode greedily")
    return {}


def _only(wanted: bool, value: object) -> _Values:
    if value is not wanted:
        raise ValueError(f"only {str(wanted).lower()} is offered here")
    return {}


def _taken(
    fields: dict[str, Any], taken: Mapping[str, Callable[[Any], _Values]], where: str
) -> _Values:
    _refuse_unknown(fields, taken, where)
    found: _Values = {}
    for name, take in taken.items():  # in their order: do_eval has the last word on eval_steps
        if fields.get(name) is None:
            continue
        try:
            found |= take(fields[name])
        except KeyError:
            raise ConfigError(f"{where}: {name} {fields[name]!r} is not offered here") from None
        except ValueError as error:
            raise ConfigError(f"{where}: {name} {fields[name]!r}: {error}") from None
    return found


def _refuse_unknown(fields: dict[str, Any], known: Mapping[str, object], where: str) -> None:
    if unknown := sorted(fields.keys() - known.keys()):
        raise ConfigError(
            f"{where}: {', '.join(unknown)}: no such field (there are: "
            f"{', '.join(sorted(name for name in known if not name.startswith('_')))})"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: expected an object of fields, found {type(fields).__name__}")
    return fields
