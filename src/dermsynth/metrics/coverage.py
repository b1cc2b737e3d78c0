"""How much of a set of real images do generated ones reach, and how varied is a set within itself?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.metrics.features import (
    checked_features,
    checked_pair,
    nearest_rows,
    neighbour_distances,
    squared_distances,
)

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
    return float(np.mean(nearest_rows(first, second)[0] <= neighbour_distances(first, (k,))[0] * _TIE))


def mean_distance(features: npt.ArrayLike) -> float:
    """Return the mean Euclidean distance of two different rows of float (n, d): how varied the images are.

    Unbiased at any n, so that sets of different size can be compared; 0 where all images are the same.

    Raises:
        InputError: fewer than 2 rows, or a value that is not finite.
    """
    found = checked_features("features", features, at_least=2)
    found = found - found.mean(axis=0)
    total = sum(float(np.sqrt(block).sum()) for block in squared_distances(found, found))
    return total / (len(found) * (len(found) - 1))


def vendi_score(features: npt.ArrayLike) -> float:
    """Return how many different images a set amounts to, 1 to n: exp of the entropy of the similarities' eigenvalues.

    Friedman and Dieng 2023 (arXiv:2210.02410) with the cosine of the features. It grows with n: compare sets of
    equal size.

    Args:
        features: float (n, d).

    Raises:
        InputError: fewer than 2 rows, or a value that is not finite.
    """
    found = checked_features("features", features, at_least=2)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    unit = found / np.where(lengths > 0, lengths, 1)
    # The n x n similarities U U' and the d x d matrix U' U share their eigenvalues: take the smaller.
    product = unit @ unit.T if len(unit) < unit.shape[1] else unit.T @ unit
    values = np.linalg.eigvalsh(product / len(unit))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))
