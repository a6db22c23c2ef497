"""Row-wise control of `generate`: each row has its own stops, limit, draws and grammar."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import LogitsProcessor, StoppingCriteria

from pmi_kernel.core import progress
from pmi_kernel.core.errors import EngineError
from pmi_kernel.engines.base import Finish, Sampling
from pmi_kernel.engines.loaded import LoadedModel

if TYPE_CHECKING:
    from llguidance import LLMatcher


class RowControl(LogitsProcessor):
    """Records log-probabilities, guides, draws, and says when a row is at its end.

    Draws use the Gumbel-max trick (the argmax of log p / T + Gumbel noise is a draw at temperature
    T) with a generator for each row, so a row's text does not depend on what shares its batch.

    Args:
        rows: How to decode each row.
        loaded: The model that decodes.
        prompt_width: Tokens of the padded prompts.

    Raises:
        EngineError: A row's regex is not valid.
    """

    def __init__(self, rows: Sequence[Sampling], loaded: LoadedModel, prompt_width: int) -> None:
        self._rows = rows
        self._loaded = loaded
        self._width = prompt_width
        self._most_tokens = max(row.max_tokens for row in rows)
        self._eos_ids = frozenset(loaded.eos_ids)
        self._matchers = [self._matcher(row.regex) if row.regex else None for row in rows]
        self._generators = [torch.Generator().manual_seed(row.seed) for row in rows]
        self._distributions: torch.Tensor | None = None
        self._logprobs: list[torch.Tensor] = []
        self._ends: dict[int, tuple[int, Finish]] = {}
        self.stopping = _RowStopping(self)
        progress.at(progress.Phase.GENERATING, 0, self._most_tokens)

    def _matcher(self, regex: str) -> "LLMatcher":
        from llguidance import LLMatcher  # only what is guided needs it

        tokenizer = self._loaded.grammar_tokenizer
        matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_regex(regex))
        if matcher.is_error():
            raise EngineError(f"the regex {regex!r} cannot guide: {matcher.get_error()}")
        return matcher

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores whose argmax is taken as the next tokens, `[rows, vocabulary]`."""
        self._distributions = scores.float().log_softmax(-1)
        chosen = self._distributions.clone()
        for row, sampling in enumerate(self._rows):
            if row in self._ends:
                continue
            matcher = self._matchers[row]
            if matcher is not None:
                # llguidance's torch kernel is compiled on first use: seconds, and a C compiler.
                allowed = np.zeros(chosen.shape[1], bool)
                known = np.frombuffer(matcher.compute_logit_bias(), np.uint8)[: len(allowed)]
                allowed[: len(known)] = known
                chosen[row, ~torch.from_numpy(allowed).to(chosen.device)] = float("-inf")
                if input_ids.shape[1] == self._width:
                    chosen[row, list(self._eos_ids)] = float("-inf")
            if sampling.temperature > 0:
                uniform = torch.rand(chosen.shape[1], generator=self._generators[row])
                gumbel = -(-uniform.clamp_min(1e-20).log()).log()
                chosen[row] = chosen[row] / sampling.temperature + gumbel.to(chosen.device)
        return chosen

    def advance(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Take note of the tokens just chosen; returns which rows are at their end, `[rows]`.

        Raises:
            Stopped: A stop was asked for.
        """
        assert self._distributions is not None
        self._logprobs.append(self._distributions.gather(1, input_ids[:, -1:]).squeeze(1).cpu())
        new = input_ids[:, self._width :].tolist()
        for row, tokens in enumerate(new):
            if row not in self._ends and (finish := self._finish(row, tokens)):
                self._ends[row] = (len(tokens), finish)
        said = partial(self._loaded.chat.decode, new[0]) if len(new) == 1 else None
        progress.at(progress.Phase.GENERATING, len(self._logprobs), self._most_tokens, said=said)
        return torch.tensor([row in self._ends for row in range(len(new))], device=input_ids.device)

    def _finish(self, row: int, tokens: list[int]) -> Finish | None:
        sampling, matcher = self._rows[row], self._matchers[row]
        if tokens[-1] in self._eos_ids:
            return Finish.STOP
        if matcher is not None and not matcher.consume_token(tokens[-1]):
            raise EngineError(f"guided decoding left its grammar: {matcher.get_error()}")
        if sampling.stop:
            text = self._loaded.chat.decode(tokens)
            if any(stop in text for stop in sampling.stop):
                return Finish.STOP
        return Finish.LENGTH if len(tokens) >= sampling.max_tokens else None

    def results(
        self, sequences: torch.Tensor
    ) -> list[tuple[tuple[int, ...], tuple[float, ...], Finish]]:
        """Return each row's new tokens, their log-probabilities in nats, and why it ended."""
        logprobs = torch.stack(self._logprobs, dim=1).tolist()
        rows = []
        for row, tokens in enumerate(sequences[:, self._width :].tolist()):
            length, finish = self._ends[row]
            rows.append((tuple(tokens[:length]), tuple(logprobs[row][:length]), finish))
        return rows


class _RowStopping(StoppingCriteria):
    def __init__(self, control: RowControl) -> None:
        self._control = control

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return self._control.advance(input_ids)
