"""The encoder that a command was given: a pretrained network in a folder, or the offline default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.stack import ImageStack

Floats = NDArray[np.float64]

_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Encoder:
    """A name that says what features are of, and the function from uint8 n x S x S x 3 to features n x d."""

    name: str
    encode: Callable[[NDArray[np.uint8]], NDArray[np.floating]]

    def features(self, images: ImageStack) -> Floats:
        """Return the features of all images, float64 n x d; pixels are read chunk by chunk."""
        starts = range(0, max(1, len(images)), _CHUNK)
        return np.concatenate([self.encode(images[start : start + _CHUNK]) for start in starts]).astype(np.float64)


def chosen_encoder(folder: Path | str | None, reference: ImageStack) -> Encoder:
    """Return the encoder of a folder as it is, or the offline one, scaled.

    The values of the offline encoder have several units. They count alike in units of their deviation over the
    reference, from its mean.

    Args:
        folder: Of a pretrained network; None for the offline encoder.
        reference: Real training images.

    Raises:
        InputError: a folder that holds no usable network, or images of a size that the offline encoder cannot take.
    """
    if folder is not None:
        from dermsynth.encoders.pretrained import Pretrained

        network = Pretrained(folder)
        return Encoder(network.name, network.encode)
    from dermsynth.encoders import handmade

    found = Encoder(handmade.NAME, handmade.encode).features(reference)
    # A value that never changes says nothing; the least deviation keeps it from saying everything.
    mean, deviation = found.mean(axis=0), found.std(axis=0) + 1e-6
    return Encoder(f"{handmade.NAME}, scaled", lambda images: (handmade.encode(images) - mean) / deviation)
