"""`pmi train | checkpoint`: what is learned before a run, with a progress bar."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from pydantic import Field

from pmi_kernel.cli.evaluate import INTERRUPTED
from pmi_kernel.cli.flags import parse_settings, with_defaults, without
from pmi_kernel.cli.parsing import OptionalFolder, parse
from pmi_kernel.cli.terminal import say
from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.settings import Settings
from pmi_kernel.core.visible import visible

_GPU_IDS, _PRESET, _OVERWRITE = "--gpu_ids", "--preset", "--overwrite"
_EVAL_ONLY, _PRINT_OUTPUTS = "--eval_only", "--print_outputs"


class _Asked(Settings):
    """What is asked of the command alone."""

    out: Path
    """The training's folder; a training that is there already is gone on with."""
    gpu_ids: tuple[Annotated[int, Field(ge=0, le=1_024)], ...] = ()
    """CUDA devices to train on together, e.g. 0 2; by default one."""


def train(words: list[str]) -> int:
    """Train a system's learner, or go on with its training."""
    from pmi_kernel.systems.learning import (
        SHARED,
        discard_training,
        learner_config_class,
        trained_systems,
    )
    from pmi_kernel.training import TrainConfig

    if not words or words[0] in ("-h", "--help"):
        there = ", ".join(trained_systems()) or "none is trained"
        say(f"usage: pmi train SYSTEM --out FOLDER [options]\n\nsystems: {there}")
        return 0 if words else 2
    system = words[0]
    kind = learner_config_class(system)
    whole = [word for word in words if word != _OVERWRITE]  # as each of several processes gets it
    is_overwritten = whole != words
    words = [_output_dir(word) for word in whole if word not in (_EVAL_ONLY, _PRINT_OUTPUTS)]
    is_evaluated_only, is_printed = _EVAL_ONLY in whole, _PRINT_OUTPUTS in whole
    preset, words = _taken(_PRESET, words)
    presets: Mapping[str, Mapping[str, Any]] = getattr(kind, "presets", {})
    if preset is not None and preset not in presets:
        raise ConfigError(
            f"{_PRESET} {preset}: there is no such preset of {system} (there are: "
            f"{', '.join(presets) or 'none'})"
        )
    changed = {**getattr(kind, "defaults", {}), **presets.get(preset or "", {})}
    for switch, settings in (switches := getattr(kind, "switches", {})).items():
        kept = [word for word in words if word.replace("-", "_") != f"__{switch}"]
        changed |= settings if kept != words else {}
        words = kept
    given: dict[str, str] = {}
    for name in (borrows := getattr(kind, "borrows", ())):
        value, words = _taken(f"--{name}", words)
        given |= {} if value is None else {name: value}
    if given:
        changed = {**changed, **kind.borrowed(given)}  # type: ignore[attr-defined]
    own = with_defaults(without(kind, SHARED), changed)  # one flag each
    of_training = with_defaults(TrainConfig, changed)

    config, learner, asked = parse_settings(
        {"train": of_training, "learner": own, "asked": _Asked},
        words[1:],
        f"train {system}",
        f"Train the learner of {system}, or go on with its training."
        + (f" {_PRESET} takes one of {', '.join(presets)} as defaults." if presets else "")
        + (f" So do --{', --'.join((*borrows, *switches))}." if borrows else "")
        + f" --output_dir is --out; {_OVERWRITE} deletes the training in it first; {_EVAL_ONLY} "
        f"evaluates and trains nothing; {_PRINT_OUTPUTS} prints what evaluations got.",
        ("out", "data", "eval_data", "steps", "batch", "lr", "model", "gpu_ids"),
    )
    out, gpu_ids = asked.out, asked.gpu_ids
    if is_evaluated_only:
        return _evaluate(system, kind(**learner.model_dump()), is_printed=is_printed)
    if is_overwritten:
        discard_training(out)
    if gpu_ids:
        return _train_on(gpu_ids, whole, out)
    config = TrainConfig(**config.model_dump())
    learner = kind(**learner.model_dump())
    return _train_shown(system, learner, config, out, is_printed=is_printed)


def _evaluate(system: str, config: Settings, *, is_printed: bool) -> int:
    """Evaluate a learner as it begins: the model as it is, or the checkpoint of `--init`."""
    from pmi_kernel.systems.learning import open_learner

    found = open_learner(system, config).evaluate()
    if is_printed:
        _print_outputs(found.examples)
    say(", ".join(f"{name} {value:.4g}" for name, value in sorted(found.measures.items())))
    return 0


def _print_outputs(examples: Sequence[Mapping[str, str]]) -> None:
    for example in examples:
        say("\n".join(f"{name}: {text}" for name, text in example.items()) + "\n")


def _taken(flag: str, words: list[str]) -> tuple[str | None, list[str]]:
    """The word after a flag, or None, and the other words."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.replace("-", "_") != flag.replace("-", "_"):
            continue
        if equals:
            return value, [*words[:place], *words[place + 1 :]]
        if place + 1 == len(words) or words[place + 1].startswith("--"):
            raise ConfigError(f"{flag}: a value is missing")
        return words[place + 1], [*words[:place], *words[place + 2 :]]
    return None, words


def _output_dir(word: str) -> str:
    """The same word, with our name for the folder."""
    name, equals, value = word.partition("=")
    return f"--out{equals}{value}" if name.replace("-", "_") == "__output_dir" else word


def _train_shown(
    system: str, learner: Settings, config: Any, out: Path, *, is_printed: bool
) -> int:
    from tqdm.auto import tqdm

    from pmi_kernel.systems.learning import train

    bar = tqdm(total=0, unit="step", desc=out.name)
    shown: dict[str, str] = {}

    def on_row(row: Mapping[str, Any], total: int) -> None:
        bar.total, bar.n = total, row["step"]
        if "examples" in row:
            value = row["measures"][config.best_by]
            shown[config.best_by] = f"{value:.4g} at {row['step']}"
            if is_printed:
                with bar.external_write_mode():
                    _print_outputs(row["examples"])
        else:
            shown["loss"] = f"{row['measures']['loss']:.4g}"
            shown["examples/s"] = f"{row['examples_per_s']:.3g}"
        bar.set_postfix(shown)

    def warn(text: str) -> None:
        bar.write(visible(text), file=sys.stderr)

    try:
        with bar:
            best = train(system, learner, config, out, on_row=on_row, say=warn)
    except KeyboardInterrupt:
        say(f"interrupted; the same command goes on, or `pmi jobs resume {out}`", is_error=True)
        return INTERRUPTED
    say(f"{best}: the best checkpoint")
    return 0


def _train_on(gpu_ids: Sequence[int], words: list[str], out: Path) -> int:
    """Do the same command in a process for each device; Ctrl-C is heeded after the step at hand."""
    from pmi_kernel.jobs.owner import cancel
    from pmi_kernel.runs.devices import cuda_devices

    there = cuda_devices()
    if absent := [one for one in gpu_ids if str(one) not in there]:
        raise ConfigError(
            f"{_GPU_IDS} {' '.join(map(str, gpu_ids))}: there is no CUDA device {absent[0]} here "
            f"(there are: {', '.join(there) or 'none'})"
        )
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--num_processes", str(len(gpu_ids)), "--num_machines", "1", "--main_process_port"]
    command += ["0", "--gpu_ids", ",".join(map(str, gpu_ids)), "--mixed_precision", "no"]
    command += ["--dynamo_backend", "no", *(["--multi_gpu"] if len(gpu_ids) > 1 else [])]
    command += ["--module", "pmi_kernel.cli", "train", *_without(_GPU_IDS, words)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        cancel(out)
        process.wait()
        return INTERRUPTED


def _without(flag: str, words: Sequence[str]) -> list[str]:
    """The words but for a flag and the numbers after it."""
    kept: list[str] = []
    is_its = False
    for word in words:
        name = "--" + word.partition("=")[0].removeprefix("--").replace("-", "_")
        is_its = (word.startswith("--") and name == flag) or (is_its and word.isdigit())
        kept += [] if is_its else [word]
    return kept


def checkpoint(words: list[str]) -> int:
    """Check a checkpoint, and copy what was learned."""
    from pmi_kernel.training.checkpoint import export, read_checkpoint

    def arguments(
        folder: Annotated[Path, tyro.conf.Positional],
        export: OptionalFolder = None,
        dtype: Literal["float32", "bfloat16"] = "float32",
    ) -> tuple[Path, Path | None, Literal["bfloat16"] | None]:
        """Check every file of a checkpoint, and copy it without what goes on with a training.

        Args:
            folder: A checkpoint, or a training: its best one.
            export: Folder of the copy.
            dtype: Of the copy's tensors: as they are, or rounded to half the room.
        """
        return folder, export, dtype if dtype == "bfloat16" else None

    folder, to, dtype = parse(arguments, words, "checkpoint")
    found = read_checkpoint(folder)
    say(f"{found.folder}: {found.meta['system']}, step {found.step}, whole; sha256 {found.sha256}")
    if to is not None:
        say(f"{export(found, to, dtype=dtype).folder}: a copy without the training's state")
    return 0
