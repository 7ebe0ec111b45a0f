"""The symmetric convolutional autoencoder of PDAS (2019), after Suganuma et al. 2018 and RED-Net (Mao et al. 2016)."""

from netwright.spaces.autoencoder.space import AutoencoderSpace

__all__ = ["AutoencoderSpace"]
