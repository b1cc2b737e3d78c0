"""How much of a set of real images do generated ones reach, and how varied is a set within itself?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dermsynth.metrics.features import FloatArray, checked_features, checked_pair

_ROWS_AT_ONCE = 1024
_ROUNDING = 1e-12
"""Squared distances below this share of the squared lengths are rounding: encoders compute in float32."""
_TIE = 1 + 1e-9


def coverage(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = 5) -> float:
    """Return the share of real images that have a fake one within the distance of their k-th nearest other real image.

    Naeem et al. 2020 (arXiv:2002.09797, equation 10), Euclidean, with closed balls: a set covers itself even where
    images repeat. For n real and m fake images of one distribution about 1 - (n / (n + m))^k is expected, 0.97 for
    n = m and k = 5, so both sides need the same numbers to be compared with another run. A generator that draws a
    single image covers about k / n.

    Args:
        real: float (n, d), n > k; `fake`: float (m, d).
        k: Which neighbour.

    Returns:
        A share in [0, 1].

    Raises:
        InputError: n <= k, no fake image, different dimensions, or a value that is not finite.
    """
    first, second = checked_pair(real, fake, at_least=1)
    checked_features(f"real set, coverage with k = {k}", first, at_least=k + 1)
    centre = first.mean(axis=0)  # squared distances lose fewer digits around the origin
    first, second = first - centre, second - centre
    # An image is its own nearest one, at distance 0, so its k-th other neighbour comes at place k.
    radii = np.concatenate([np.partition(block, k, axis=1)[:, k] for block in _squared_distances(first, first)])
    nearest = np.concatenate([block.min(axis=1) for block in _squared_distances(first, second)])
    return float(np.mean(nearest <= radii * _TIE))


def mean_distance(features: npt.ArrayLike) -> float:
    """Return the mean Euclidean distance of two different rows of float (n, d): how varied the images are.

    Unbiased at any n, so that sets of different size can be compared; 0 where all images are the same.

    Raises:
        InputError: fewer than 2 rows, or a value that is not finite.
    """
    found = checked_features("features", features, at_least=2)
    found = found - found.mean(axis=0)
    total = sum(float(np.sqrt(block).sum()) for block in _squared_distances(found, found))
    return total / (len(found) * (len(found) - 1))


def _squared_distances(x: FloatArray, y: FloatArray) -> Iterator[FloatArray]:
    """Yield the squared distances of the rows of x to those of y, some rows of x at a time; equal rows are 0 apart."""
    squares = (y**2).sum(axis=1)
    for start in range(0, len(x), _ROWS_AT_ONCE):
        block = x[start : start + _ROWS_AT_ONCE]
        lengths = (block**2).sum(axis=1)[:, None] + squares
        distances = lengths - 2 * block @ y.T
        distances[distances < _ROUNDING * lengths] = 0.0
        yield distances
