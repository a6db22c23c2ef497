"""A state-space model that compresses a long text to one vector of fixed size.

Mamba-2 (Dao and Gu 2024, arXiv:2405.21060), by transformers' own classes: the scan over a text is
made in chunks that are computed side by side, and what came before is a state that does not grow.
"""

import logging
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import Mamba2Config, Mamba2Model
from transformers.cache_utils import Cache, DynamicCache

_HEAD, _EXPAND = 32, 2
_KERNELS = "transformers.integrations.hub_kernels"
logging.getLogger(_KERNELS).addFilter(  # said at each start; on a CPU there are no such kernels
    lambda record: "falling back to its reference" not in record.getMessage()
)


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """What was made of a text.

    Attributes:
        outputs: Of each place, which has seen all places before it.
        summary: Of the last place of each text: all of it in one vector.
        cache: The state after it, to go on from; None where it was not asked for.
    """

    outputs: Float[Tensor, "batch tokens width"]
    summary: Float[Tensor, "batch state"]
    cache: Cache | None


class EpisodicMemorySSM(nn.Module):
    """Reads states of tokens, any number of them, into a vector.

    Args:
        width: Of the states, and of the outputs; a multiple of 16.
        state: Of the summary, and of the recurrence of each head.
        num_layers: Blocks.
        chunk: Tokens that are computed side by side.
    """

    def __init__(
        self, width: int, state: int = 256, *, num_layers: int = 2, chunk: int = 64
    ) -> None:
        super().__init__()
        if width % (_HEAD // _EXPAND):
            raise ValueError(f"width {width} is no multiple of {_HEAD // _EXPAND}")
        self.scan = Mamba2Model(
            Mamba2Config(
                vocab_size=1,
                bos_token_id=0,
                eos_token_id=0,
                pad_token_id=0,
                hidden_size=width,
                num_hidden_layers=num_layers,
                expand=_EXPAND,
                head_dim=_HEAD,
                num_heads=_EXPAND * width // _HEAD,
                state_size=state,
                n_groups=1,
                chunk_size=chunk,
            )
        )
        self.summarise = nn.Linear(width, state)

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch tokens"] | None = None,
        *,
        cache: Cache | None = None,
    ) -> Scanned:
        """Read states that come after those of the cache.

        Args:
            hidden: The states.
            mask: Which of them there are, padded on the left; None: all.
            cache: `new_cache`, or that of what was read before; it is changed.
        """
        found = self.scan(
            inputs_embeds=hidden,
            attention_mask=None if mask is None else mask.to(hidden.dtype),
            cache_params=cache,
            use_cache=cache is not None,
        )
        outputs = found.last_hidden_state
        return Scanned(outputs, self.summarise(outputs[:, -1]), cache)

    def new_cache(self) -> Cache:
        """Return the state before anything was read."""
        return DynamicCache(config=self.scan.config)
