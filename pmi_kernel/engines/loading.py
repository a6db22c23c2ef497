"""A model's files, read whole or refused in one line."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import cached_file

from pmi_kernel.core.errors import ConfigError, PmiError
from pmi_kernel.engines.models import resolve_model
from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.rows import LoraRows
from pmi_kernel.lora.training import select_layers
from pmi_kernel.prompting.chat import ChatTokenizer

_MOST_NAMED = 3
"""Tensors that a message names."""
_MOST_CHARS = 300
"""Of a library's own message."""


@contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    """Within the context whatever goes wrong with a model's files is a `ConfigError`."""
    try:
        yield
    except PmiError:
        raise
    except Exception as error:  # torn files make libraries raise anything, Rust's a bare Exception
        raise ConfigError(
            f"model {name!r} cannot be loaded ({one_line(error)}); "
            "check the name, or fetch its files anew"
        ) from error


def one_line(error: Exception) -> str:
    """Return a library's error with its kind, in one line of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_CHARS]


def read_tokenizer(name: str) -> Any:
    """Return a fast tokenizer with an end token, by the name of its model or its own folder.

    Raises:
        ConfigError: It cannot be read, or is none such.
    """
    try:
        source = name if Path(name).is_dir() else resolve_model(name)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except PmiError:
        raise
    except Exception as error:  # as in _in_one_line
        raise ConfigError(f"{name!r}: no tokenizer can be read ({one_line(error)})") from error
    if not tokenizer.is_fast or tokenizer.eos_token_id is None:
        raise ConfigError(f"tokenizer {name!r} is no fast one with an end token")
    return tokenizer


def load_chat(name: str, source: Path | str) -> ChatTokenizer:
    """Return a model's tokenizer.

    Raises:
        ConfigError: It cannot be read, or has no chat template that can be used.
    """
    with _in_one_line(name):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        return ChatTokenizer(tokenizer, name=name)


def most_tokens(name: str, source: Path | str) -> int:
    """Return the most tokens that a model takes, without loading it.

    Raises:
        ConfigError: Its configuration cannot be read.
    """
    with _in_one_line(name):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        return int(getattr(config, "max_position_embeddings", sys.maxsize))


def load_model(name: str, source: Path | str, dtype: torch.dtype) -> Any:
    """Return a model on the CPU, every weight of it from its files.

    Raises:
        ConfigError: They cannot be read, or do not hold just the tensors that the model has.
    """
    with _in_one_line(name), _silence():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused here, by name
        )
    model, found = loaded
    _check_whole(name, found)
    return model


def _check_whole(name: str, found: Mapping[str, Any]) -> None:
    """Refuse weights that are not the model's; tied ones and old buffers are accounted for."""
    wrong = [(f"{key} is missing", key) for key in found["missing_keys"]]
    wrong += [(f"{key} is not the model's", key) for key in found["unexpected_keys"]]
    wrong += [
        (f"{key} is {list(there)} instead of {list(wanted)}", key)
        for key, there, wanted in found["mismatched_keys"]
    ]
    if wrong:
        said = [text for text, _ in sorted(wrong, key=lambda pair: pair[1])]
        more = f", and {len(said) - _MOST_NAMED} more" if len(said) > _MOST_NAMED else ""
        raise ConfigError(
            f"model {name!r}: its weights do not fit its config.json "
            f"({', '.join(said[:_MOST_NAMED])}{more}); fetch the model's files anew"
        )


def snapshot(source: Path | str, commit: str | None = None) -> Path | None:
    """Return the folder that a model was read from; None where a Hub model's is not here."""
    if isinstance(source, Path):
        return source
    file = cached_file(
        source,
        "config.json",
        revision=commit,
        local_files_only=True,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return Path(file).parent if file else None


def check_lora(rows: LoraRows, lora: LoraConfig) -> None:
    """Refuse a config that no memory of a model can be trained by.

    Raises:
        ConfigError: A target is no layer's name, none of its layers is in the trained blocks, or
            the rank is larger than any trained layer's smaller side: it could add nothing.
    """
    try:
        names = select_layers(rows, lora.targets, lora.depth)
    except ValueError as error:
        raise ConfigError(f"LoRA targets: {error}") from None
    if not names:
        raise ConfigError(
            f"LoRA targets {', '.join(lora.targets)}: there is none in the last "
            f"{lora.depth:g} of the model's blocks; a larger depth reaches more"
        )
    sides = [min(rows.layers[name].weight.shape) for name in names]
    if lora.rank > max(sides):
        raise ConfigError(
            f"LoRA rank {lora.rank}: a layer of this model has rank {max(sides)} at most, and an "
            "update of a higher rank adds nothing"
        )


def check_before_loading(name: str, lora: LoraConfig) -> None:
    """As `check_lora`, from a model's config.json alone: no weight is read or made.

    Raises:
        ConfigError: The config does not fit the model, or its config.json cannot be read.
    """
    with _in_one_line(name):
        config = AutoConfig.from_pretrained(resolve_model(name), trust_remote_code=False)
        with torch.device("meta"), _silence():
            model = AutoModelForCausalLM.from_config(config)
        check_lora(LoraRows(model), lora)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Within the context transformers draws no progress bars."""
    is_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if is_on:
            transformers_logging.enable_progress_bar()


@contextmanager
def _silence() -> Iterator[None]:
    """Within the context transformers says nothing: what matters is raised."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with no_progress_bars():
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
