"""Which images lie where real ones lie, by balls around real images that reach to their k-th nearest other one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.metrics.features import (
    FloatArray,
    checked_features,
    checked_pair,
    neighbour_distances,
    squared_distances,
)

NEIGHBOUR = 3
"""k of Kynkaanniemi et al."""
_TIE = 1 + 1e-9


def precision(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = NEIGHBOUR) -> float:
    """Return the share of fake images that lie within the ball of some real one.

    Kynkaanniemi et al. 2019 (arXiv:1904.06991, equation 2), Euclidean, with closed balls. Recall is the precision of
    the real images among the fake ones: `precision(fake, real)`. It depends on both numbers.

    Args:
        real: float (n, d), n > k; `fake`: float (m, d).
        k: Which neighbour.

    Raises:
        InputError: n <= k, no fake image, different dimensions, or a value that is not finite.
    """
    return float((_balls(real, fake, k) > 0).mean())


def density(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = NEIGHBOUR) -> float:
    """Return in how many balls of real images a fake one lies, divided by k: 1 is expected of equal distributions.

    Naeem et al. 2020 (arXiv:2002.09797, equation 6). One outlier among the real images changes it little, while its
    large ball raises the precision. Arguments and errors are those of `precision`.
    """
    return float(_balls(real, fake, k).mean() / k)


def realism(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = NEIGHBOUR) -> FloatArray:
    """Return the realism of every fake image, >= 0: from 1 on it lies within the ball of a real one.

    Kynkaanniemi et al. 2019 (arXiv:1904.06991, equation 3): the largest ratio of a real image's radius to its distance
    from the fake one, over the half of the real images with the smaller radii; infinite for a copy. Arguments and
    errors are those of `precision`.
    """
    first, second = _checked(real, fake, k)
    radii = neighbour_distances(first, k)
    usual = radii <= np.median(radii)
    centre = first.mean(axis=0)
    blocks = squared_distances(second - centre, first[usual] - centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Nothing but the same image is at distance 0, and a ball of radius 0 holds that.
        ratios = [np.where(block > 0, radii[usual] / np.sqrt(block), np.inf).max(axis=1) for block in blocks]
    return np.concatenate(ratios)


def _balls(real: npt.ArrayLike, fake: npt.ArrayLike, k: int) -> FloatArray:
    """Return in how many balls each fake image lies."""
    first, second = _checked(real, fake, k)
    squared_radii = neighbour_distances(first, k) ** 2 * _TIE
    centre = first.mean(axis=0)
    counts = [(block <= squared_radii).sum(axis=1) for block in squared_distances(second - centre, first - centre)]
    return np.concatenate(counts).astype(np.float64)


def _checked(real: npt.ArrayLike, fake: npt.ArrayLike, k: int) -> tuple[FloatArray, FloatArray]:
    first, second = checked_pair(real, fake, at_least=1)
    checked_features(f"real set, neighbour {k}", first, at_least=k + 1)
    return first, second
