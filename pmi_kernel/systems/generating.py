"""Text that a checkpoint goes on with, token by token, and how fast it does."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from pmi_kernel.core.errors import ConfigError, EngineError
from pmi_kernel.core.settings import Seed, Settings
from pmi_kernel.engines.device import choose_device
from pmi_kernel.engines.loaded import LoadedModel
from pmi_kernel.engines.loading import read_tokenizer
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.systems.checkpoints import find_checkpoint
from pmi_kernel.systems.start import check_model, read_start
from pmi_kernel.training.checkpoint import Checkpoint

OnPiece = Callable[[str], object]


class Drawing(Settings):
    """How the next token is chosen."""

    max_length: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Most new tokens."""
    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.8
    """0: always the likeliest; else drawn, the more evenly the higher it is."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Drawn from the likeliest tokens that have so much of the chance together."""
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    """Drawn from so many of the likeliest; 0: from all."""
    seed: Seed = 0
    """Of what is drawn: the same prompt is gone on with in the same way."""


@dataclass(frozen=True, slots=True)
class Continued:
    """What a prompt was gone on with.

    Attributes:
        text: It, without the prompt.
        prompt_tokens: That were read.
        new_tokens: That were made, an end token among them.
        first_s: Seconds until the first of them.
        seconds_s: Of all of it.
    """

    text: str
    prompt_tokens: int
    new_tokens: int
    first_s: float
    seconds_s: float

    @property
    def tokens_per_s(self) -> float:
        """New tokens a second, reading the prompt included."""
        return self.new_tokens / self.seconds_s


class TextGenerator:
    """A causal model of a checkpoint, with its tokenizer.

    Args:
        tokenizer: Of the model.
        device: Where the model is.
        max_tokens: Most that it takes.
        generate: Returns the new tokens after some, and gives each to a streamer of transformers.
    """

    def __init__(
        self,
        tokenizer: Any,
        device: torch.device,
        max_tokens: int,
        generate: Callable[[Tensor, Drawing, Any], Tensor],
    ) -> None:
        self._tokenizer, self._device = tokenizer, device
        self._max_tokens, self._generate = max_tokens, generate

    def go_on(
        self, prompt: str, drawing: Drawing, on_text: OnPiece = lambda text: None
    ) -> Continued:
        """Go on with a prompt.

        Args:
            prompt: Read as it stands, without a chat's frame.
            drawing: How tokens are chosen.
            on_text: Called with each piece of text as soon as it is there.

        Raises:
            EngineError: The prompt is empty, or too long for what is to follow.
        """
        [row] = self._tokenizer([prompt], add_special_tokens=False)["input_ids"]
        if not row:
            raise EngineError("an empty prompt says nothing to go on with")
        if len(row) + drawing.max_length > self._max_tokens:
            raise EngineError(
                f"a prompt of {len(row)} tokens and {drawing.max_length} new ones: the model takes "
                f"{self._max_tokens}"
            )
        torch.manual_seed(drawing.seed)
        pieces = _Pieces(self._tokenizer, on_text)
        began = time.perf_counter()
        new = self._generate(torch.tensor([row], device=self._device), drawing, pieces)
        ended = time.perf_counter()
        pieces.end()
        text = self._tokenizer.decode(new.tolist(), skip_special_tokens=True)
        return Continued(text, len(row), len(new), pieces.first - began, ended - began)


def open_generator(system: str, checkpoint: str, device: str = "auto") -> TextGenerator:
    """Return what goes on with text: the causal model of a checkpoint of `pmi train`.

    Args:
        system: Whose checkpoint it is: hmst, scratchpad or regrad.
        checkpoint: Its folder, that of a training, or the name of one that comes with the
            workbench.
        device: cpu, cuda, cuda:1, ..., or auto.

    Raises:
        ConfigError: There is no such checkpoint, or it has no causal model.
    """
    opened = {"hmst": _of_hierarchy, "scratchpad": _of_scratchpad, "regrad": _of_start}.get(system)
    if opened is None:
        raise ConfigError(
            f"system {system!r} has no causal model to go on with; hmst, scratchpad and regrad have"
        )
    return opened(find_checkpoint(checkpoint, system=system), device)


def _of_hierarchy(found: Checkpoint, device: str) -> TextGenerator:
    """The base model of a hierarchy."""
    from pmi_kernel.systems.hmst.model.hierarchy import load

    hierarchy = load(found.folder)
    hierarchy.to(choose_device(device))

    def generate(ids: Tensor, drawing: Drawing, streamer: Any) -> Tensor:
        return hierarchy.base.generate(
            ids,
            max_new_tokens=drawing.max_length,
            end_ids=hierarchy.end_ids,
            temperature=drawing.temperature,
            top_p=drawing.top_p,
            top_k=drawing.top_k,
            streamer=streamer,
        )

    return TextGenerator(hierarchy.tokenizer, hierarchy.device, hierarchy.max_tokens, generate)


def _of_scratchpad(found: Checkpoint, device: str) -> TextGenerator:
    """A model under the LoRA that writes evidence down, or one whose weights were all trained."""
    from pmi_kernel.systems.scratchpad.system import WHOLE, read_adapter

    whole = found.folder / WHOLE
    if whole.is_dir():
        return _loaded(LoadedModel(str(whole), device=device), None)
    loaded = LoadedModel(str(found.meta["facts"]["model"]), device=device)
    return _loaded(loaded, read_adapter(str(found.folder), found, loaded.describe()))


def _of_start(found: Checkpoint, device: str) -> TextGenerator:
    """A model under the LoRA that gradient steps begin at."""
    start, _ = read_start(str(found.folder))
    loaded = LoadedModel(start.on.model, device=device)
    check_model(str(found.folder), start, loaded.describe())
    return _loaded(loaded, LoraWeights.load(found.folder))


def _loaded(loaded: LoadedModel, weights: LoraWeights | None) -> TextGenerator:
    def generate(ids: Tensor, drawing: Drawing, streamer: Any) -> Tensor:
        drawn = {"temperature": drawing.temperature, "top_p": drawing.top_p, "top_k": drawing.top_k}
        with loaded.rows.using(loaded.rows.gather([weights])), torch.inference_mode():
            found = loaded.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=drawing.max_length,
                do_sample=drawing.temperature > 0,
                streamer=streamer,
                **(drawn if drawing.temperature else {}),
            )
        new: Tensor = found[0, ids.shape[1] :]
        return new

    return TextGenerator(read_tokenizer(loaded.name), loaded.device, loaded.max_tokens, generate)


class _Pieces:
    """Transformers' streamer: notes when the first token was there, and gives on whole text."""

    def __init__(self, tokenizer: Any, on_text: OnPiece) -> None:
        self._tokenizer, self._on_text = tokenizer, on_text
        self._ids: list[int] | None = None
        self._given = 0
        self.first = 0.0

    def put(self, tokens: Tensor) -> None:
        if self._ids is None:  # the prompt comes first
            self._ids = []
            return
        if not self._ids:
            self.first = time.perf_counter()
        self._ids += tokens.flatten().tolist()
        self._give(self._ids, is_over=False)

    def end(self) -> None:
        self._give(self._ids or [], is_over=True)

    def _give(self, ids: Sequence[int], *, is_over: bool) -> None:
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        if is_over or not text.endswith("�"):  # half of a character
            self._on_text(text[self._given :])
            self._given = len(text)


def prompts_of(path: Path) -> list[str]:
    """Return a file's prompts, one a line; empty lines are left out.

    Raises:
        ConfigError: It is no text file, or has none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as text ({error})") from None
    prompts = [line for line in lines if line.strip()]
    if not prompts:
        raise ConfigError(f"{path} has no line with a prompt")
    return prompts
