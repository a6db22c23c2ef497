"""Retrievable gradients over every data set of a domain: a run each, and their authors' one JSON.

The flags are those of the authors' inference, and so is the file: `predictions` of each set by its
questions' ids, and `scores` of each set and their mean.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pmi_kernel.core.errors import ConfigError, DataError, SettingsError
from pmi_kernel.core.folder import plainly
from pmi_kernel.core.settings import Settings
from pmi_kernel.core.text import shown
from pmi_kernel.data.derived import DOMAINS, domain_files
from pmi_kernel.reports.regrad_style import regrad_scores
from pmi_kernel.runs import RunOutcome, RunSettings
from pmi_kernel.runs.merge import read_results
from pmi_kernel.systems.regrad.config import RegradConfig
from pmi_kernel.systems.regrad.store import format_of
from pmi_kernel.systems.start import OWN, read_start

_LABELS = {"2wikimultihopqa": "wiki", "complexwebquestions": "complexweb", "hotpotqa": "hotpot"}
"""What the authors' JSON calls a set where it is not by its name."""
_BY_NAME = frozenset({"medqa", "pubmedqa", "bioasq", "casehold", "lhf", "housingqa"})
"""Sets whose kind of answer an augmented file does not always tell; their name does."""


class DomainSettings(Settings):
    """What is evaluated, by the names of the authors of retrievable gradients."""

    model_path: str = OWN
    """The start: a checkpoint, or the folder of a training."""
    domain: Literal["general", "med", "law"] = "general"
    """The data sets: general (2wikimultihopqa, complexwebquestions, hotpotqa, popqa), med or
    law."""
    dev_set_name: str = "dev"
    """Name of each set's augmented file, data_aug/SET/NAME.json."""
    offline_dir: str = ""
    """Where pmi regrad encode put the gradients: offline/OUTPUT_DIR/topK. By default they are taken
    as they are needed, and not kept."""
    grad_file: str = "dev"
    """Name of each set's gradients in there: offline_dir/SET/GRAD_FILE."""
    prediction_file: Path = Path("results/regrad.json")
    """The JSON to write; each set's run lies in a folder beside it that is called the same."""
    num_samples_for_eval: Annotated[int, Field(ge=1, le=10**9)] = 300
    """Questions of each set, the first ones."""
    mixed_precision: Literal["", "no", "bf16"] = ""
    """Number format of the model: float32 (no) or bfloat16 (bf16); by default as --dtype says."""
    data_aug: str = "data_aug"
    """Folder of the augmented files."""
    sets: tuple[str, ...] = ()
    """Only these sets of the domain."""


def infer_domain(
    asked: DomainSettings,
    config: RegradConfig,
    settings: RunSettings,
    run: Callable[[RunSettings, RegradConfig], RunOutcome],
) -> list[Path]:
    """Run each data set, write the JSON of all, and return the runs' folders, a set each.

    Args:
        asked: What is evaluated.
        config: How; its checkpoint and store are those that `asked` names.
        settings: How it is run; data and folder are those of the sets.
        run: Does one run; one that is there already is gone on with.

    Raises:
        ConfigError: Gradients are not where they should be, or the JSON cannot be written.
        DataError: A set's file is not there, or not right.
        KeyboardInterrupt: A run was interrupted; the same call goes on.
    """
    sets = DOMAINS[asked.domain]
    if unknown := sorted(set(asked.sets) - set(sets)):
        problem = f"{shown(unknown[0])} is none of {asked.domain} ({', '.join(sets)})"
        raise SettingsError({"sets": problem})
    files = domain_files(asked.domain, asked.dev_set_name.removesuffix(".json"), asked.data_aug)
    wanted = asked.sets or sets
    chosen = {name: file for name, file in zip(sets, files, strict=True) if name in wanted}
    for name, file in chosen.items():
        if not Path(file).is_file():
            raise ConfigError(
                f"{file} is not there; write it with pmi data augment --dataset {name} "
                f"--output_file {file}, or name the sets that you have with --sets"
            )
    planned = {
        name: (_run_settings(asked, settings, name, file), _config(asked, config, name))
        for name, file in chosen.items()
    }
    for one in planned.values():
        if run(*one).is_interrupted:
            raise KeyboardInterrupt
    runs = {name: one.out for name, (one, _) in planned.items()}
    told = regrad_json({_LABELS.get(name, name): out for name, out in runs.items()})
    with plainly(asked.prediction_file):
        asked.prediction_file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(told, indent=4, ensure_ascii=False)
        asked.prediction_file.write_text(f"{text}\n", encoding="utf-8")
    return list(runs.values())


def regrad_json(runs: Mapping[str, Path]) -> dict[str, Any]:
    """Return what the authors' JSON holds of some runs, by their sets' labels.

    Raises:
        DataError: A run has no results.
    """
    scores: dict[str, Any] = {}
    predictions: dict[str, Any] = {}
    for label, out in runs.items():
        results = read_results(out)
        if not results:
            raise DataError(f"{out} has no results yet")
        means = regrad_scores(results.values())
        scores[label] = {name: round(mean, 2) for name, mean in means.items()}
        predictions[label] = {"answer": {id_: result.prediction for id_, result in results.items()}}
    each = list(scores.values())
    over_all = {name: round(sum(one[name] for one in each) / len(each), 6) for name in each[0]}
    return {"predictions": predictions, "scores": {**scores, **over_all}}


def _run_settings(
    asked: DomainSettings, settings: RunSettings, name: str, file: str
) -> RunSettings:
    return settings.but(
        data=file,
        layout=name if name in _BY_NAME else "",
        num_samples=asked.num_samples_for_eval,
        out=asked.prediction_file.with_suffix("") / name,
    )


def _config(asked: DomainSettings, config: RegradConfig, name: str) -> RegradConfig:
    model = read_start(asked.model_path)[0].on.model
    changes: dict[str, Any] = {"checkpoint": asked.model_path, "model": model}
    if asked.mixed_precision:
        changes["dtype"] = "bfloat16" if asked.mixed_precision == "bf16" else "float32"
    if asked.offline_dir and not config.icl:
        folder = Path(asked.offline_dir, name, asked.grad_file.removesuffix(".pt")).resolve()
        if not folder.is_dir():
            raise ConfigError(
                f"{folder} is not there; pmi regrad encode --dataset {name} takes the gradients"
            )
        changes |= {"store": format_of(folder), "store_dir": str(folder)}
    return config.but(**changes)
