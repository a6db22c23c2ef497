"""What controller and critic are made of."""

from torch import nn


def transformer(width: int, num_heads: int, num_layers: int) -> nn.TransformerEncoder:
    """Return blocks of attention over all places, normalised before, without dropout."""
    layer = nn.TransformerEncoderLayer(
        width,
        num_heads,
        4 * width,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    return nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
