"""The base model: a decoder whose blocks choose two of eight experts for each token.

Routing is that of Mixtral (Jiang et al. 2024, arXiv:2401.04088), by transformers' own classes, with
the load-balancing loss of Switch transformers (Fedus et al. 2021, arXiv:2101.03961, equation 4). A
dense model becomes one by sparse upcycling (Komatsuzaki et al. 2022, arXiv:2212.05055): each expert
begins as the dense MLP, and what it learns apart from it is of low rank.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import MixtralConfig, MixtralForCausalLM
from transformers.cache_utils import Cache, DynamicCache

from pmi_kernel.systems.hmst.model.sizes import HMSTConfig


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What the model makes of a text.

    Attributes:
        logits: Of the next token at each place that was asked for.
        hidden: States after the last block that was run and the final norm.
        balance: Load-balancing loss, mean over the blocks that were run; 1 where every expert is
            used as much.
        cache: Keys and values, where they are kept.
    """

    logits: Float[Tensor, "batch places vocabulary"]
    hidden: Float[Tensor, "batch tokens width"]
    balance: Float[Tensor, ""]
    cache: Cache | None


class Router(nn.Module):
    """Chooses experts for each token; takes the place of transformers' `MixtralTopKRouter`.

    Args:
        width: Of a token's state.
        num_experts: To choose from.
        top_k: How many; their weights sum to 1.
    """

    def __init__(self, width: int, num_experts: int, top_k: int) -> None:
        super().__init__()
        self.num_experts, self.top_k = num_experts, top_k
        self.weight = nn.Parameter(torch.empty(num_experts, width))
        self.allowed: tuple[int, ...] | None = None
        self.seen: tuple[Tensor, Tensor] | None = None

    def forward(
        self, hidden: Float[Tensor, "... width"]
    ) -> tuple[Float[Tensor, "tokens experts"], Float[Tensor, "tokens k"], Int[Tensor, "tokens k"]]:
        """Return logits of all experts, and the weights and numbers of the chosen ones."""
        logits = nn.functional.linear(hidden.flatten(0, -2), self.weight)
        top_k = self.top_k
        if self.allowed is not None:
            closed = torch.ones(self.num_experts, dtype=torch.bool, device=logits.device)
            closed[list(self.allowed)] = False
            logits, top_k = logits.masked_fill(closed, -torch.inf), min(top_k, len(self.allowed))
        chances = logits.float().softmax(-1)
        weights, chosen = chances.topk(top_k, dim=-1)
        self.seen = chances, chosen
        return logits, (weights / weights.sum(-1, keepdim=True)).to(hidden.dtype), chosen


class LowRankExperts(nn.Module):
    """Experts that are a dense MLP and a low-rank difference each, of each of its three layers.

    The dense products are made once a token and not once an expert: the last of them is of the
    weighted sum. Only the differences of experts that may be chosen are computed.

    Args:
        dense: A gated MLP (`gate_proj up_proj down_proj act_fn`), which stays as it is.
        num_experts: Of the block.
        top_k: Run for each token.
        rank: Of a difference.
    """

    def __init__(self, dense: Any, num_experts: int, top_k: int, rank: int) -> None:
        super().__init__()
        self.dense, self.rank = dense, rank
        width, inner = dense.gate_proj.in_features, dense.gate_proj.out_features
        weight = dense.gate_proj.weight
        self.router = Router(width, num_experts, top_k).to(weight.device)
        sizes = {"gate": (width, inner), "up": (width, inner), "down": (inner, width)}
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        for name, (source, target) in sizes.items():
            a = torch.randn(num_experts, rank, source, device=weight.device) * source**-0.5
            self.a[name] = nn.Parameter(a)
            self.b[name] = nn.Parameter(
                torch.zeros(num_experts, rank, target, device=weight.device)
            )
        nn.init.normal_(self.router.weight, std=width**-0.5)

    def forward(self, hidden: Float[Tensor, "batch tokens width"]) -> Tensor:
        """Return the weighted sum of the chosen experts' outputs."""
        x = hidden.flatten(0, 1)
        _, weights, chosen = self.router(x)
        allowed = self.router.allowed
        run = list(range(self.router.num_experts)) if allowed is None else list(allowed)
        places = torch.full((self.router.num_experts,), -1, device=x.device)
        places[run] = torch.arange(len(run), device=x.device)
        chosen = places[chosen]
        gate, up = self.dense.gate_proj(x), self.dense.up_proj(x)
        of_gate, of_up = (self._inner(x, name, run) for name in ("gate", "up"))
        total, apart = torch.zeros_like(gate), torch.zeros_like(x)
        for slot in range(chosen.shape[1]):
            is_run = nn.functional.one_hot(chosen[:, slot], len(run)).to(x.dtype).unsqueeze(-1)
            inner = self.dense.act_fn(gate + self._outer(of_gate * is_run, "gate", run)) * (
                up + self._outer(of_up * is_run, "up", run)
            )
            inner = inner * weights[:, slot, None]
            total = total + inner
            apart = apart + self._outer(self._inner(inner, "down", run) * is_run, "down", run)
        return (self.dense.down_proj(total) + apart).view_as(hidden)

    def _inner(self, x: Tensor, name: str, run: Sequence[int]) -> Tensor:
        """Coordinates of each expert's difference: tokens x experts x rank."""
        a = self.a[name][run].to(x.dtype)
        return (x @ a.flatten(0, 1).T).unflatten(-1, (len(run), self.rank))

    def _outer(self, inner: Tensor, name: str, run: Sequence[int]) -> Tensor:
        """What coordinates stand for, summed over the experts."""
        return inner.flatten(-2) @ self.b[name][run].to(inner.dtype).flatten(0, 1)


class BaseMoEModel(nn.Module):
    """A causal language model with experts, of which layers and experts can be left out.

    Threads may share it: they take turns, as what is left out is left out of the model itself.

    Args:
        source: A size, for random weights; or a causal model that has experts by now.

    Attributes:
        num_tokens: That its tokenizer has; those beyond are never generated.
    """

    def __init__(self, source: HMSTConfig | nn.Module) -> None:
        super().__init__()
        lm: Any = _mixtral(source) if isinstance(source, HMSTConfig) else source
        self.lm = lm
        self.routers = [one for one in self.lm.modules() if isinstance(one, Router)]
        self.num_tokens = int(lm.get_input_embeddings().num_embeddings)
        self._turn = RLock()

    @classmethod
    def upcycled(
        cls, dense: Any, *, num_experts: int = 8, top_k: int = 2, rank: int = 8
    ) -> "BaseMoEModel":
        """Return a dense causal model made a mixture, whose function is the same at first.

        Args:
            dense: Its blocks have a gated MLP, as Llama's; its own weights stay as they are.
            num_experts: Of each block.
            top_k: Run for each token.
            rank: Of each expert's difference.

        Raises:
            ValueError: Its blocks have another kind of MLP.
        """
        dense.requires_grad_(False)
        for layer in dense.base_model.layers:
            mlp = getattr(layer, "mlp", None)
            if not all(hasattr(mlp, name) for name in ("gate_proj", "up_proj", "down_proj")):
                raise ValueError(f"{type(dense).__name__} has no gated MLP in each of its blocks")
            layer.mlp = LowRankExperts(mlp, num_experts, top_k, rank)
        return cls(dense)

    @property
    def num_layers(self) -> int:
        """Blocks that there are."""
        return len(self.lm.base_model.layers)

    @property
    def num_experts(self) -> int:
        """Experts of each block."""
        return self.routers[0].num_experts

    def num_parameters(self) -> tuple[int, int]:
        """Return how many there are, and how many are at work for a token."""
        total = sum(one.numel() for one in self.parameters())
        idle = 0
        for block in self.lm.modules():
            if isinstance(block, LowRankExperts):
                of_experts = sum(one.numel() for one in (*block.a.values(), *block.b.values()))
                top_k = block.router.top_k
            elif hasattr(block, "gate_up_proj") and isinstance(block.gate_up_proj, nn.Parameter):
                of_experts = block.gate_up_proj.numel() + block.down_proj.numel()
                top_k = self.routers[0].top_k
            else:
                continue
            idle += of_experts - of_experts * top_k // self.num_experts
        return total, total - idle

    def forward(
        self,
        ids: Int[Tensor, "batch tokens"],
        mask: Bool[Tensor, "batch read"] | None = None,
        *,
        cache: Cache | None = None,
        num_layers: int | None = None,
        experts: Sequence[int] | None = None,
        last_only: bool = False,
    ) -> Read:
        """Read tokens.

        Args:
            ids: The tokens that come after those of the cache.
            mask: Which of all tokens, the cache's too, there are; None: all.
            cache: Of what was read before, which grows; it belongs to one depth.
            num_layers: Blocks that are run, the first ones; None for all. The rest is not computed.
            experts: Those that may be chosen; None for all. The others are not run.
            last_only: Return the logits of the last place alone.
        """
        with self._within(num_layers, experts) as depth:
            found = self.lm.base_model(
                input_ids=ids,
                attention_mask=None if mask is None else mask.long(),
                past_key_values=cache,
                use_cache=cache is not None,
            )
            hidden = found.last_hidden_state
            logits = self.lm.get_output_embeddings()(hidden[:, -1:] if last_only else hidden)
            losses = [_balance(*one.seen) for one in self.routers[:depth] if one.seen is not None]
        return Read(logits, hidden, torch.stack(losses).mean(), cache)

    def generate(
        self,
        ids: Int[Tensor, "1 tokens"],
        *,
        max_new_tokens: int,
        end_ids: Sequence[int] = (),
        num_layers: int | None = None,
        experts: Sequence[int] | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int = 0,
        streamer: Any = None,
    ) -> Int[Tensor, " new"]:
        """Return the tokens that go on from a text, the end token with them.

        Args:
            ids: The text.
            max_new_tokens: At most.
            end_ids: After one of these it ends.
            num_layers: See `forward`.
            experts: See `forward`.
            temperature: 0: always the likeliest; else drawn from torch's generator.
            top_p: Drawn from the likeliest tokens that have so much of the chance together.
            top_k: Drawn from so many of the likeliest; 0: from all.
            streamer: Transformers' interface; it is given each token as it is made.
        """
        is_drawn = temperature > 0
        drawing = {"temperature": temperature, "top_p": top_p, "top_k": top_k} if is_drawn else {}
        vocabulary = int(self.lm.get_input_embeddings().num_embeddings)
        with self._within(num_layers, experts), torch.inference_mode():
            whole = self.lm.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_new_tokens,
                do_sample=is_drawn,
                eos_token_id=list(end_ids) or None,
                pad_token_id=end_ids[0] if end_ids else 0,
                streamer=streamer,
                suppress_tokens=list(range(self.num_tokens, vocabulary)) or None,
                **drawing,
            )
        found: Tensor = whole[0, ids.shape[1] :]
        return found

    def new_cache(self) -> Cache:
        """Return a cache in which nothing is yet."""
        return DynamicCache(config=self.lm.config)

    @contextmanager
    def counting(self) -> Iterator[Int[Tensor, "layers experts"]]:
        """Give a tensor that counts how many tokens each expert of each block is run for.

        Other threads wait until the end of the context.
        """
        counts = torch.zeros(self.num_layers, self.num_experts, dtype=torch.long)

        def count(layer: int, chosen: Tensor) -> None:
            counts[layer] += torch.bincount(chosen.flatten().cpu(), minlength=self.num_experts)

        with self._turn, ExitStack() as stack:
            for layer, router in enumerate(self.routers):
                handle = router.register_forward_hook(
                    lambda module, given, found, layer=layer: count(layer, found[2])
                )
                stack.callback(handle.remove)
            yield counts

    @contextmanager
    def _within(self, num_layers: int | None, experts: Sequence[int] | None) -> Iterator[int]:
        """So many layers and these experts alone, until the end of the context."""
        depth = self.num_layers if num_layers is None else num_layers
        allowed = None if experts is None else tuple(sorted(set(experts)))
        if not 1 <= depth <= self.num_layers:
            raise ValueError(f"num_layers is {depth}; there are {self.num_layers}")
        if allowed is not None and not (
            allowed and allowed[0] >= 0 and allowed[-1] < self.num_experts
        ):
            raise ValueError(f"experts are {allowed}; there are {self.num_experts}, from 0")
        config = self.lm.base_model.config
        with self._turn:
            config.num_hidden_layers = depth  # transformers' own loops heed it
            for router in self.routers:
                router.allowed = allowed
            try:
                yield depth
            finally:
                config.num_hidden_layers = self.num_layers
                for router in self.routers:
                    router.allowed = router.seen = None


def _mixtral(size: HMSTConfig) -> MixtralForCausalLM:
    config = MixtralConfig(
        vocab_size=size.vocab_size,
        hidden_size=size.hidden_size,
        intermediate_size=size.intermediate_size,
        num_hidden_layers=size.num_hidden_layers,
        num_attention_heads=size.num_attention_heads,
        num_key_value_heads=size.num_key_value_heads,
        num_local_experts=size.num_experts,
        num_experts_per_tok=size.experts_per_token,
        max_position_embeddings=size.max_position_embeddings,
        tie_word_embeddings=size.tie_word_embeddings,
        sliding_window=None,
        experts_implementation="grouped_mm",  # type: ignore[call-arg]
    )
    model = MixtralForCausalLM(config)
    for layer in model.model.layers:
        block = layer.mlp
        router = Router(size.hidden_size, size.num_experts, size.experts_per_token)
        router.weight = block.gate.weight
        block.gate = router
    return model


def _balance(
    chances: Float[Tensor, "tokens experts"], chosen: Int[Tensor, "tokens k"]
) -> Float[Tensor, ""]:
    """Experts times the sum over them of their share of the tokens and of their mean chance."""
    count = chances.shape[-1]
    shares = nn.functional.one_hot(chosen, count).float().mean((0, 1))
    return count * (shares * chances.mean(0)).sum()
