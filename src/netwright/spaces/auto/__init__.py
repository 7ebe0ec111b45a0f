"""The spaces of `auto`: encoder-decoders and classifiers from plain values, with their training's own values."""

from netwright.spaces.auto.classification import ClassifierStagesSpace
from netwright.spaces.auto.segmentation import EncoderDecoderSpace

__all__ = ["ClassifierStagesSpace", "EncoderDecoderSpace"]
