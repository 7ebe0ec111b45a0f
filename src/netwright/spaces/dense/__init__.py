"""The densely connected encoder-decoder of the policy gradient system, and the space of its hyperparameters."""

from netwright.spaces.dense.network import DenseEncoderDecoder, Layer
from netwright.spaces.dense.space import DenseSpace
from netwright.spaces.dense.throughout import DenseThroughout

__all__ = ["DenseEncoderDecoder", "DenseSpace", "DenseThroughout", "Layer"]
