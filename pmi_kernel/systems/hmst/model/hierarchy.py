"""All networks of a hierarchy together, made, saved and loaded as one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.engines.hashes import weights_hash
from pmi_kernel.engines.loading import load_model, read_tokenizer, snapshot
from pmi_kernel.engines.models import resolve_model
from pmi_kernel.systems.hmst.model.controller import Choices, MetaController, StateSummaryEncoder
from pmi_kernel.systems.hmst.model.critic import CriticModel
from pmi_kernel.systems.hmst.model.moe import BaseMoEModel
from pmi_kernel.systems.hmst.model.sizes import SIZES
from pmi_kernel.systems.hmst.model.ssm import EpisodicMemorySSM
from pmi_kernel.training.bpe import train_tokenizer
from pmi_kernel.training.taking import take

UPCYCLED = "upcycled:"
"""Before a dense model's name: its mixture by sparse upcycling."""
_SHAPE, _WEIGHTS, _TOKENIZER = "hierarchy.json", "weights.safetensors", "tokenizer"


@dataclass(frozen=True, slots=True)
class HierarchyShape:
    """What a hierarchy is made of.

    Attributes:
        base: A size (micro, tiny, small, base, large), or upcycled:NAME of a dense causal model.
        rank: Of each expert's difference, where it is upcycled.
        state: Numbers of an episodic summary.
        dimension: Numbers of a semantic vector.
        exits: Blocks after which the base may stop; none: half, three quarters, and all of them.
        entries: Numbers of semantic entries that may be fetched.
    """

    base: str
    rank: int = 8
    state: int = 256
    dimension: int = 256
    exits: tuple[int, ...] = ()
    entries: tuple[int, ...] = (0, 1, 3, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Texts as the base reads them.

    Attributes:
        hidden: States, padded on the left.
        mask: Which of them there are.
        logprob: Mean log-probability of each text's tokens after the first, in nats.
    """

    hidden: Float[Tensor, "texts tokens width"]
    mask: Bool[Tensor, "texts tokens"]
    logprob: Float[Tensor, " texts"]

    @property
    def mean(self) -> Float[Tensor, "texts width"]:
        """The mean state of each text."""
        there = self.mask.unsqueeze(-1).to(self.hidden.dtype)
        return (self.hidden * there).sum(1) / there.sum(1)


class Hierarchy(nn.Module):
    """Base model, state-space memory, controller and critic, and the projections between them.

    Args:
        shape: What it is made of.
        base: The base model.
        tokenizer: Its tokenizer, a fast one with an end token.
        base_hash: Of the dense weights, where it is upcycled; empty otherwise.
    """

    def __init__(
        self, shape: HierarchyShape, base: BaseMoEModel, tokenizer: Any, base_hash: str = ""
    ) -> None:
        super().__init__()
        layers = base.num_layers
        exits = shape.exits or tuple(sorted({max(1, layers // 2), max(1, 3 * layers // 4), layers}))
        if exits[-1] != layers or not all(1 <= one <= layers for one in exits):
            raise ConfigError(
                f"exits {exits}: expected depths of 1 to {layers}, and the last of all"
            )
        self.shape, self.tokenizer, self.base_hash = shape, tokenizer, base_hash
        self.base = base
        base.num_tokens = min(len(tokenizer), base.num_tokens)
        width = base.lm.config.hidden_size
        self.ssm = EpisodicMemorySSM(width, shape.state)
        self.recall = nn.Linear(width, shape.state)
        self.entry, self.query = (nn.Linear(width, shape.dimension) for _ in range(2))
        self.critic = CriticModel(width)
        self.summary = StateSummaryEncoder(width)
        self.controller = MetaController(Choices(exits, shape.entries, base.num_experts))

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.recall.weight.device

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end a text."""
        return (int(self.tokenizer.eos_token_id),)

    @property
    def max_tokens(self) -> int:
        """Most tokens of a text."""
        return int(self.base.lm.config.max_position_embeddings)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return texts as tokens.

        Raises:
            EngineError: One is empty, or longer than the model takes.
        """
        rows = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        for text, row in zip(texts, rows, strict=True):
            if not row:
                raise EngineError("an empty text says nothing")
            if len(row) > self.max_tokens:
                raise EngineError(
                    f"a text of {len(row)} tokens, and the model takes {self.max_tokens}: "
                    f"{text[:60]!r}"
                )
        return list(rows)

    def padded(
        self, rows: Sequence[Sequence[int]]
    ) -> tuple[Int[Tensor, "texts tokens"], Bool[Tensor, "texts tokens"]]:
        """Return rows of tokens as one tensor, padded on the left, and which of it they are."""
        width = max(map(len, rows))
        ids = torch.tensor([[*[0] * (width - len(row)), *row] for row in rows], device=self.device)
        sizes = torch.tensor([len(row) for row in rows], device=self.device)
        return ids, torch.arange(width, device=self.device) >= width - sizes[:, None]

    def encode(self, texts: Sequence[str], *, num_layers: int | None = None) -> Encoded:
        """Return what the base makes of texts, by all its blocks or the first ones."""
        ids, mask = self.padded(self.ids(texts))
        read = self.base(ids, mask, num_layers=num_layers)
        logprobs = read.logits[:, :-1].float().log_softmax(-1)
        of_next = logprobs.gather(-1, ids[:, 1:, None]).squeeze(-1)
        counted = mask[:, :-1] & mask[:, 1:]
        mean = (of_next * counted).sum(-1) / counted.sum(-1).clamp(min=1)
        return Encoded(read.hidden, mask, mean)

    def summarised(self, encoded: Encoded) -> Float[Tensor, "texts state"]:
        """Return episodic summaries of texts."""
        return self.ssm(encoded.hidden, encoded.mask).summary

    def entries(self, encoded: Encoded) -> Float[Tensor, "texts dimension"]:
        """Return semantic vectors of texts that are kept."""
        return self.entry(encoded.mean)

    def queries(self, encoded: Encoded) -> Float[Tensor, "texts dimension"]:
        """Return semantic vectors of questions."""
        return self.query(encoded.mean)

    def learned(self) -> dict[str, nn.Parameter]:
        """Return what training may change, by name: not the dense weights of an upcycled base."""
        return {name: one for name, one in self.named_parameters() if one.requires_grad}

    def save(self, folder: Path) -> None:
        """Write shape, what was learned, and the tokenizer, into a folder that is there."""
        told = {"shape": asdict(self.shape), "base_hash": self.base_hash}
        (folder / _SHAPE).write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")
        kept = {name: one.detach().contiguous() for name, one in self.learned().items()}
        kept["critic.temperature"] = self.critic.temperature
        save_file(kept, folder / _WEIGHTS)
        self.tokenizer.save_pretrained(folder / _TOKENIZER)

    def take(self, folder: Path) -> None:
        """Take a checkpoint's weights.

        Raises:
            ConfigError: They cannot be read, or do not fit.
        """
        path = folder / _WEIGHTS
        try:
            found: Mapping[str, Tensor] = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"{path} cannot be read ({error})") from None
        mine: dict[str, Tensor] = {**self.learned(), "critic.temperature": self.critic.temperature}
        take(mine, found, path)


def make(
    shape: HierarchyShape,
    texts: Iterable[str] = (),
    *,
    tokenizer_path: str = "",
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Hierarchy:
    """Return a hierarchy to be trained.

    Args:
        shape: What it is made of.
        texts: A tokenizer is trained on these, for a base from nothing without `tokenizer_path`.
        tokenizer_path: A tokenizer in place of that: a folder, or a Hub name.
        seed: Of random weights.
        dtype: Of dense weights that are loaded.

    Raises:
        ConfigError: A model or tokenizer cannot be loaded, or they do not fit.
    """
    torch.manual_seed(seed)
    if shape.base.startswith(UPCYCLED):
        if tokenizer_path:
            raise ConfigError("an upcycled base has a tokenizer; leave tokenizer_path out")
        return _upcycled(shape, dtype)
    if shape.base not in SIZES:
        raise ConfigError(f"base {shape.base!r}: expected {', '.join(SIZES)}, or {UPCYCLED}NAME")
    size = SIZES[shape.base]()
    if tokenizer_path:
        tokenizer = read_tokenizer(tokenizer_path)
        if len(tokenizer) > size.vocab_size:
            raise ConfigError(
                f"tokenizer {tokenizer_path!r} has {len(tokenizer)} tokens, and {shape.base} takes "
                f"{size.vocab_size}"
            )
    else:
        waiting = iter(texts)
        first = next(waiting, None)
        if first is None:
            raise ConfigError("no text to train a tokenizer on; name one with tokenizer_path")
        tokenizer = train_tokenizer(chain([first], waiting), size.vocab_size)
    return Hierarchy(shape, BaseMoEModel(size), tokenizer)


def load(folder: Path) -> Hierarchy:
    """Return the hierarchy of a checkpoint.

    Raises:
        ConfigError: Something is missing, or does not fit.
    """
    try:
        told = json.loads((folder / _SHAPE).read_text(encoding="utf-8"))
        kept: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one
            for name, one in told["shape"].items()
        }
        shape = HierarchyShape(**kept)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder}: no hierarchy can be read from it ({error})") from None
    if shape.base.startswith(UPCYCLED):
        whole = make(shape)
        if whole.base_hash != told["base_hash"]:
            raise ConfigError(f"{folder} was trained on other weights of {shape.base}")
    else:
        whole = make(shape, tokenizer_path=str(folder / _TOKENIZER))
    whole.take(folder)
    return whole.eval()


def _upcycled(shape: HierarchyShape, dtype: torch.dtype) -> Hierarchy:
    name = shape.base.removeprefix(UPCYCLED)
    source = resolve_model(name)
    dense = load_model(name, source, dtype)
    folder = snapshot(source, getattr(dense.config, "_commit_hash", None))
    try:
        base = BaseMoEModel.upcycled(dense, rank=shape.rank)
    except ValueError as error:
        raise ConfigError(f"base {shape.base!r}: {error}") from None
    return Hierarchy(shape, base, read_tokenizer(name), weights_hash(folder) if folder else name)
