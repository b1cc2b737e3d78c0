"""The encoder that a command was given: a network from files, or the offline default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.cohort import Cohort
from dermsynth.cohorts.stack import ImageStack
from dermsynth.encoders.cache import kept_features

Floats = NDArray[np.float64]

_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Encoder:
    """A name that says what features are of, and the function from uint8 n x S x S x 3 to features n x d.

    Attributes:
        name: For tables and cards.
        encode: The function.
        identity: Changes with everything that changes features; None where they cost less than keeping them.
    """

    name: str
    encode: Callable[[NDArray[np.uint8]], NDArray[np.floating]]
    identity: str | None = None

    def features(self, cohort: Cohort) -> Floats:
        """Return the features of all images, float64 n x d; those of a network are kept for the next time."""
        if self.identity is None:
            return self._computed(cohort.images)

        def compute() -> NDArray[np.float32]:
            return self._computed(cohort.images).astype(np.float32)

        return kept_features(cohort.identity, self.identity, len(cohort), compute).astype(np.float64)

    def _computed(self, images: ImageStack) -> Floats:
        """Return features; pixels are read chunk by chunk."""
        starts = range(0, max(1, len(images)), _CHUNK)
        return np.concatenate([self.encode(images[start : start + _CHUNK]) for start in starts]).astype(np.float64)


def chosen_encoder(choice: Path | str | None, reference: Cohort) -> Encoder:
    """Return the encoder that a choice names, as it is, or the offline one, scaled.

    The values of the offline encoder have several units. They count alike in units of their deviation over the
    reference, from its mean.

    Args:
        choice: `inception`, `inception:FILE` or `inception:URL`; the folder of a network in `transformers`' layout or
            its name on the hub, also with `hf:` before it; None for the offline encoder.
        reference: Real training images.

    Raises:
        InputError: what holds no usable network, cannot be fetched, or images of a size that the offline encoder
            cannot take.
    """
    from dermsynth.encoders import handmade, inception

    if choice is not None:
        kind, _, rest = str(choice).partition(":")
        if kind == inception.PREFIX:
            network = inception.Inception(rest)
            return Encoder(network.name, network.encode, network.identity)
        from dermsynth.encoders.pretrained import Pretrained

        pretrained = Pretrained(choice)
        return Encoder(pretrained.name, pretrained.encode, pretrained.identity)
    found = Encoder(handmade.NAME, handmade.encode).features(reference)
    # A value that never changes says nothing; the least deviation keeps it from saying everything.
    mean, deviation = found.mean(axis=0), found.std(axis=0) + 1e-6
    return Encoder(f"{handmade.NAME}, scaled", lambda images: (handmade.encode(images) - mean) / deviation)
