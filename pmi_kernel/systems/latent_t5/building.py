"""Models by name, small ones of random weights, and those of a checkpoint."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForTextEncoding,
    AutoTokenizer,
    T5Config,
    T5ForConditionalGeneration,
)

from pmi_kernel.core.errors import ConfigError
from pmi_kernel.systems.latent_t5.model import Attention, BaselineT5, LatentT5, Shape
from pmi_kernel.systems.latent_t5.training import OWN, TINY
from pmi_kernel.training.bpe import train_tokenizer
from pmi_kernel.training.taking import take

_MODEL, _WEIGHTS = "model.json", "weights.safetensors"
_TOKENIZER, _ENCODER_TOKENIZER = "tokenizer", "encoder_tokenizer"
_TINY_VOCABULARY = 2_560
_WIDTH = 192
_LATENT_STD = 0.3
"""With less, what the question adds makes all latents look at one place; with more, it is not
heard."""
_NEIGHBOURS, _QUERIES = 0.7, 0.3
"""Of what is around a word beside the word itself; of a random query beside the distance."""
_FAR = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """Most tokens of what is read and written; `context` is 0 where there is no context encoder."""

    question: int
    context: int
    answer: int


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A model with what it reads by.

    Attributes:
        model: `LatentT5`, or `BaselineT5`.
        tokenizer: T5's.
        encoder_tokenizer: The context encoder's; T5's where there is none.
        limits: Most tokens.
        names: What it was made of, to be read.
    """

    model: BaselineT5
    tokenizer: Any
    encoder_tokenizer: Any
    limits: Limits
    names: Mapping[str, str]

    def save(self, folder: Path) -> None:
        """Write weights, shapes and tokenizers into a folder that is there."""
        model, own = self.model, self.encoder_tokenizer is self.tokenizer
        told: dict[str, object] = {
            "t5": _config(model.t5),
            "limits": asdict(self.limits),
            "names": dict(self.names),
        }
        if isinstance(model, LatentT5):
            is_own = model.encoder is model.t5.encoder
            told |= {
                "encoder": OWN if is_own else _config(model.encoder),
                "shape": asdict(model.selector.shape),
            }
        (folder / _MODEL).write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")
        save_file(
            {name: one.detach().contiguous() for name, one in model.named_parameters()},
            folder / _WEIGHTS,
        )
        self.tokenizer.save_pretrained(folder / _TOKENIZER)
        if not own:
            self.encoder_tokenizer.save_pretrained(folder / _ENCODER_TOKENIZER)

    def take(self, folder: Path) -> None:
        """Take a checkpoint's weights.

        Raises:
            ConfigError: A tensor is missing, unexpected, or of another shape.
        """
        _take(self.model, folder)


def load(folder: Path) -> Built:
    """Return the model of a checkpoint.

    Raises:
        ConfigError: Something is missing, or does not fit.
    """
    try:
        told = json.loads((folder / _MODEL).read_text(encoding="utf-8"))
        t5 = T5ForConditionalGeneration(T5Config(**told["t5"]))
        model = BaselineT5(t5)
        if "encoder" in told:
            encoder = t5.encoder
            if told["encoder"] != OWN:
                config = AutoConfig.for_model(**told["encoder"])
                encoder = AutoModelForTextEncoding.from_config(config)
            model = LatentT5(t5, encoder, Shape(**told["shape"]))
        limits = Limits(**told["limits"])
        tokenizer = AutoTokenizer.from_pretrained(folder / _TOKENIZER, local_files_only=True)
        other = folder / _ENCODER_TOKENIZER
        reads = AutoTokenizer.from_pretrained(other, local_files_only=True) if other.is_dir() else 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder}: no model of T5 can be read from it ({error})") from None
    _take(model, folder)
    return Built(model.eval(), tokenizer, reads or tokenizer, limits, told["names"])


def build(
    t5: str,
    limits: Limits,
    texts: Iterable[str],
    *,
    seed: int,
    encoder: str = "",
    shape: Shape | None = None,
    tokenizer_of: Path | None = None,
) -> Built:
    """Return a model to be trained.

    Args:
        t5: tiny, a folder or a Hub name.
        limits: Most tokens; what the encoder cannot take is cut from these.
        texts: Where t5 is tiny, its tokenizer is trained on these.
        seed: Seeds random weights.
        encoder: The context encoder: t5 for T5's own, a folder or a Hub name; empty for none.
        shape: Of the selector, where there is an encoder.
        tokenizer_of: A checkpoint whose tokenizer is taken where t5 is tiny, as its weights are to
            be.

    Raises:
        ConfigError: A model cannot be loaded, or they do not fit each other.
    """
    torch.manual_seed(seed)
    if t5 == TINY:
        tokenizer = (
            train_tokenizer(texts, _TINY_VOCABULARY, is_ended=True)
            if tokenizer_of is None
            else AutoTokenizer.from_pretrained(tokenizer_of / _TOKENIZER, local_files_only=True)
        )
        model: Any = T5ForConditionalGeneration(_tiny_config(tokenizer))
        for block in model.decoder.block:
            attention = block.layer[1].EncDecAttention
            _pass_on(attention.v, attention.o)
        _look_around(model.encoder)
    else:
        tokenizer, model = _read(AutoTokenizer, t5), _t5(t5)
    names = {"t5": t5}
    if not encoder:
        return Built(BaselineT5(model), tokenizer, tokenizer, limits, names)
    assert shape is not None
    own = tokenizer
    if encoder == OWN:
        reads = model.encoder
    else:
        own, reads = _read(AutoTokenizer, encoder), _whole(AutoModelForTextEncoding, encoder)
    if not own.is_fast:
        raise ConfigError(f"encoder {encoder!r}: its tokenizer tells no places; take another")
    if reads.config.hidden_size % shape.num_heads:
        raise ConfigError(
            f"num_latent_heads {shape.num_heads} does not divide the encoder's width "
            f"{reads.config.hidden_size}"
        )
    most = min(limits.context, _most_tokens(reads, own))
    limits = Limits(limits.question, most, limits.answer)
    whole = LatentT5(model, reads, shape)
    if t5 == TINY and encoder == OWN:
        _pass_on(whole.project)
        selector = whole.selector
        torch.nn.init.normal_(selector.latents, std=_LATENT_STD)
        attentions = [cast("Attention", layer.attention) for layer in selector.blocks]
        for one in (*attentions, *filter(None, [selector.asking])):
            _pass_on(one.query, one.key, one.value, one.give)
    return Built(whole, tokenizer, own, limits, {**names, "encoder": encoder})


def _pass_on(*layers: Any) -> None:
    """Make layers begin as the identity.

    So a word of the question looks for itself in the context, and what is looked at is said, from
    the first step on (embeddings and answers share one matrix).
    """
    for layer in layers:
        torch.nn.init.eye_(layer.weight)
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)


def _look_around(encoder: Any) -> None:
    """Make an encoder's heads begin as averages of what is near, each with a reach of its own.

    So the state of a word has the words around it: one that is looked for by the name of whom it is
    about is found where the name is not. The bias falls with the distance, as in ALiBi (Press et
    al. 2021, arXiv:2108.12409).
    """
    first = encoder.block[0].layer[0].SelfAttention
    distances = torch.arange(-_FAR, _FAR + 1)
    buckets = first._relative_position_bucket(
        distances,
        bidirectional=True,
        num_buckets=first.relative_attention_num_buckets,
        max_distance=first.relative_attention_max_distance,
    )
    with torch.no_grad():
        bias = first.relative_attention_bias.weight
        slopes = 0.5 ** torch.arange(bias.shape[1])
        for bucket in range(len(bias)):
            if (there := buckets == bucket).any():
                bias[bucket] = -slopes * distances[there].abs().float().mean()
        for block in encoder.block:
            attention = block.layer[0].SelfAttention
            _pass_on(attention.v, attention.o)
            attention.o.weight.mul_(_NEIGHBOURS)
            attention.q.weight.mul_(_QUERIES)


def _tiny_config(tokenizer: Any, layers: int = 3) -> T5Config:
    start = {"decoder_start_token_id": tokenizer.pad_token_id}
    return T5Config(
        **start,
        vocab_size=len(tokenizer),
        d_model=_WIDTH,
        d_kv=32,
        num_heads=_WIDTH // 32,
        d_ff=3 * _WIDTH,
        num_layers=layers,
        num_decoder_layers=layers,
        dropout_rate=0.0,
        feed_forward_proj="relu",
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def _read(loads: Any, name: str, **how: object) -> Any:
    """What a class of transformers reads of a name, or one line on why it cannot."""
    try:
        return loads.from_pretrained(name, **how)
    except (OSError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"model {name!r} cannot be loaded ({first})") from None


def _whole(loads: Any, name: str) -> Any:
    """A model by name, none of whose weights would be random."""
    model, found = _read(loads, name, use_safetensors=True, output_loading_info=True)
    if missing := sorted(key for key in found["missing_keys"] if "pooler" not in key):
        raise ConfigError(f"model {name!r} lacks {missing[0]}; its weights would be random")
    return model


def _t5(name: str) -> Any:
    kind = _read(AutoConfig, name).model_type
    if kind != "t5":
        raise ConfigError(f"t5 {name!r} is a model of kind {kind}, not a T5")
    return _whole(T5ForConditionalGeneration, name)


def _most_tokens(encoder: Any, tokenizer: Any) -> int:
    places = getattr(encoder.config, "max_position_embeddings", None)
    return min(places or 10**9, tokenizer.model_max_length or 10**9)


def _config(model: Any) -> dict[str, object]:
    found: dict[str, object] = json.loads(model.config.to_json_string(use_diff=True))
    return {"model_type": model.config.model_type, **found}


def _take(model: nn.Module, folder: Path) -> None:
    path = folder / _WEIGHTS
    try:
        found: Mapping[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path} cannot be read ({error})") from None
    take(dict(model.named_parameters()), found, path)
