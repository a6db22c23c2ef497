"""What every engine offers: generate, score, train, attach, detach; one request a call, blocking.

Concurrency is threads: several threads may call one engine, which batches what they ask for.
Engines raise `EngineError`; what one request did wrong never fails another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pmi_kernel.lora.config import LoraConfig
from pmi_kernel.lora.start import Gradient, Start
from pmi_kernel.lora.weights import LoraWeights
from pmi_kernel.prompting.messages import Prompt

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to decode.

    Attributes:
        max_tokens: Most new tokens.
        temperature: 0 is greedy; above 0, tokens are drawn at that temperature.
        stop: Strings that end the text; the first one found stays in it.
        regex: When set, only texts that match it whole and are not empty are decoded (guided
            decoding); a text that reaches `max_tokens` first is the beginning of such a text.
        seed: Seeds the draws of this request alone, whatever shares its batch.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    regex: str | None = None
    seed: int = 0


class Finish(StrEnum):
    """Why a generation ended: a stop string or end token, or `max_tokens`."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Generation:
    """New text and what it cost.

    Attributes:
        text: The new text, without special tokens.
        token_ids: The new tokens, the end token included.
        logprobs_nats: Log-probability of each new token under the unconstrained model.
        finish: Why it ended.
        prompt_tokens: Tokens of the rendered prompt.
        seconds_s: Wall time from the call to its return, waiting for a batch included.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs_nats: tuple[float, ...]
    finish: Finish
    prompt_tokens: int
    seconds_s: float

    def measures(self, stage: str) -> dict[str, float]:
        """Return what it cost, keyed by stage: tokens in, tokens out, seconds."""
        return {
            f"{stage}_prompt_tokens": self.prompt_tokens,
            f"{stage}_new_tokens": len(self.token_ids),
            f"{stage}_s": self.seconds_s,
        }


@dataclass(frozen=True, slots=True)
class Score:
    """A continuation, teacher-forced: its tokens and the log-probability of each, in nats."""

    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    logprobs_nats: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One text to train on.

    Attributes:
        text: Carries loss: a plain text, or the reply to `prompt` (its end token is learned too).
        prompt: A chat before it, rendered with the model's own template; none for a plain text.
        opening: What the reply begins with, before `text`; carries no loss.
        is_prompt_learned: Whether the chat carries loss as well.
    """

    text: str
    prompt: Prompt = ()
    opening: str = ""
    is_prompt_learned: bool = False

    def __str__(self) -> str:
        """Return what a reader should see of it: the last message, and the reply."""
        reply = self.opening + self.text
        return f"{self.prompt[-1].content} {reply}" if self.prompt else reply


Lessons = tuple[Lesson, ...]
"""What one memory is trained on, all of it at every step."""


@dataclass(frozen=True, slots=True)
class Training:
    """One trained memory.

    Attributes:
        lessons: What it was trained on.
        weights: The new LoRA alone, without the memories under it.
        losses_nats: Mean next-token loss before each optimiser step, nats per token.
        num_tokens: Tokens that carry loss.
        seconds_s: Wall time of the call, waiting for a batch included.
    """

    lessons: Lessons
    weights: LoraWeights
    losses_nats: tuple[float, ...]
    num_tokens: int
    seconds_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """The gradients of several texts at one start.

    Attributes:
        of: Each text's, in their order.
        seconds_s: Wall time of taking them, waiting for a batch included.
        num_found: How many were looked up instead.
    """

    of: tuple[Gradient, ...]
    seconds_s: float
    num_found: int = 0


@dataclass(frozen=True, slots=True)
class Adapter:
    """A memory in force in an engine, from `attach` until `detach`."""

    id: int
    weights: LoraWeights


class Engine(Protocol):
    """A model that serves, and takes memories while it serves."""

    is_exclusive: bool
    """Whether an attached memory is in force for every request (one memory at a time)."""

    def generate(
        self, prompt: Prompt, *, adapter: Adapter | None = None, sampling: Sampling = Sampling()
    ) -> Generation:
        """Return the model's continuation of `prompt` under `adapter` (None: the base weights).

        Raises:
            EngineError: The prompt is too long, the adapter is not attached, or the model failed.
        """
        ...

    def score(self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None) -> Score:
        """Return the log-probability of each token of `continuation` after `prompt`, in nats.

        Raises:
            EngineError: As `generate`; also where `continuation` has no token.
        """
        ...

    def distributions(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None
    ) -> "Float32[np.ndarray, 'tokens vocabulary']":
        """Return the log-probabilities (nats) over the vocabulary at each continuation token.

        Raises:
            EngineError: As `score`.
        """
        ...

    def train(
        self, lessons: Lessons, lora: LoraConfig, *, adapter: Adapter | None = None
    ) -> Training:
        """Return a LoRA trained by next-token prediction on all `lessons`.

        It is trained on top of `adapter`, or where `lora.is_continued` from `adapter` on: then it
        takes the place of that memory.

        Raises:
            EngineError: A lesson has fewer than two tokens or is too long, a loss or a weight was
                not finite, or the memory to go on from has another shape or cannot be had.
        """
        ...

    def gradients(self, texts: Sequence[str], start: Start) -> Gradients:
        """Return the gradient of each text's mean next-token loss by a start's tensors.

        Raises:
            EngineError: A text has fewer than two tokens, or a gradient was not finite.
        """
        ...

    def attach(self, weights: LoraWeights, *, replaces: Adapter | None = None) -> Adapter:
        """Put a memory in force and return its handle; `replaces` is taken out in the same move.

        Raises:
            EngineError: `replaces` is not attached, the weights do not fit the model, or the
                strategy holds one memory at a time and one is there.
        """
        ...

    def detach(self, adapter: Adapter) -> None:
        """Take a memory out; scores under the base weights are bit-equal to before its attach.

        Raises:
            EngineError: The adapter is not attached.
        """
        ...

    def check_lora(self, lora: LoraConfig, *, num_stacked: int = 1) -> None:
        """Refuse a config that this model cannot be trained by, before anything is trained.

        Args:
            lora: Of each memory.
            num_stacked: Most memories that lie on one another.

        Raises:
            ConfigError: A target is no layer's name, or the rank is more than the model's layers,
                or the engine's slots, can hold.
        """
        ...

    def describe(self) -> Mapping[str, str]:
        """Return what a run's record needs: model, its hashes, dtype and why, device, strategy."""
        ...

    def close(self) -> None:
        """Free the model; the engine answers no more."""
        ...
