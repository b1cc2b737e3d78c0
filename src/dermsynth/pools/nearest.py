"""The training image that a synthetic one is most like, however it is mirrored or turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermsynth.cohorts.duplicates import SYMMETRIES
from dermsynth.cohorts.stack import ImageStack
from dermsynth.encoders.chosen import Encoder, Floats
from dermsynth.metrics.features import nearest_rows

_SIDE_PX = 32
"""Pixels are compared at this side, where the noise of a copy is averaged away."""
_CHUNK = 256

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each of n images the training image that it is most like.

    Attributes:
        difference: float64 (n,), root mean square over pixels and colours, in grey levels.
        row: int64 (n,), of the training image.
        symmetry: int64 (n,), the number in `SYMMETRIES` of what turns the image into its likeness.
    """

    difference: Floats
    row: NDArray[np.int64]
    symmetry: NDArray[np.int64]

    def beside(self, train: ImageStack, which: NDArray[np.int64]) -> Pixels:
        """Return the training images of some of the n, mirrored and turned as those are."""
        pairs = zip(train[self.row[which]], self.symmetry[which], strict=True)
        return np.stack([SYMMETRIES[number].inverse.apply(image) for image, number in pairs])


def nearest(images: ImageStack, train: ImageStack, encoder: Encoder, features: Floats) -> Nearest:
    """Find the training image with the most similar pixels among those that the encoder proposes.

    It proposes one for each of the eight mirrors and quarter turns of an image.

    Args:
        images: n x S x S x 3.
        train: m x S x S x 3; `features`: of these, m x d.
    """
    small = _reduced(train[:])
    found = []
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        differences, rows = [], []
        for symmetry in SYMMETRIES:
            seen = np.stack([symmetry.apply(image) for image in chunk])
            row = nearest_rows(encoder.encode(seen).astype(np.float64), features)[1]
            differences.append(np.sqrt(((_reduced(seen) - small[row]) ** 2).mean(axis=(1, 2, 3))))
            rows.append(row)
        best = np.argmin(differences, axis=0)
        here = np.arange(len(chunk))
        found.append((np.array(differences)[best, here], np.array(rows)[best, here], best))
    difference, row, turned = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Nearest(difference.astype(np.float64), row, turned.astype(np.int64))


def _reduced(images: Pixels) -> NDArray[np.float32]:
    import cv2

    if images.shape[1] <= _SIDE_PX:
        return images.astype(np.float32)
    side = (_SIDE_PX, _SIDE_PX)
    return np.stack([cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in images]).astype(np.float32)
