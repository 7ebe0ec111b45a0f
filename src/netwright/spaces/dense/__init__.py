"""The densely connected encoder-decoder of the policy gradient system, and the space of its hyperparameters."""

from netwright.spaces.dense.network import DenseEncoderDecoder, Layer
from netwright.spaces.dense.space import DenseSpace

__all__ = ["DenseEncoderDecoder", "DenseSpace", "Layer"]
