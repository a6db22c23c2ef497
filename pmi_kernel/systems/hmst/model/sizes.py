"""Sizes of the base model, from one that trains on a laptop to one for a rack."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HMSTConfig:
    """A decoder with experts; the names are transformers' own of Mixtral.

    Attributes:
        hidden_size: Width of the residual stream.
        num_hidden_layers: Blocks.
        num_attention_heads: Of each.
        num_key_value_heads: Of each (grouped-query attention).
        intermediate_size: Inner width of an expert.
        vocab_size: Tokens.
        num_experts: Of each block.
        experts_per_token: Run for each token.
        max_position_embeddings: Most tokens of a text.
        tie_word_embeddings: Whether the output's matrix is the input's.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int = 32_000
    num_experts: int = 8
    experts_per_token: int = 2
    max_position_embeddings: int = 4_096
    tie_word_embeddings: bool = True


def get_micro_config() -> HMSTConfig:
    """Return some 10 million parameters: trained from nothing on two cores."""
    return HMSTConfig(256, 4, 4, 2, 288, vocab_size=8_192, max_position_embeddings=2_048)


def get_tiny_config() -> HMSTConfig:
    """Return some 100 million parameters."""
    return HMSTConfig(512, 8, 8, 4, 768)


def get_small_config() -> HMSTConfig:
    """Return some 1 billion parameters."""
    return HMSTConfig(1_024, 16, 16, 4, 2_432, tie_word_embeddings=False)


def get_base_config() -> HMSTConfig:
    """Return some 12 billion parameters."""
    return HMSTConfig(2_560, 28, 20, 4, 6_656, tie_word_embeddings=False)


def get_large_config() -> HMSTConfig:
    """Return some 30 billion parameters."""
    return HMSTConfig(4_096, 32, 32, 8, 9_088, tie_word_embeddings=False)


SIZES = {
    "micro": get_micro_config,
    "tiny": get_tiny_config,
    "small": get_small_config,
    "base": get_base_config,
    "large": get_large_config,
}
"""Every size by the name that `--model_size` takes."""
