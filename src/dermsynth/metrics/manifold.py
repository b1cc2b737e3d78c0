"""Which images lie where those of another set lie, by balls around images that reach to their k-th nearest other one.

The balls are closed (`<=`), as in Kynkaanniemi et al.; the package prdc and dgm-eval take open ones (`<`), which differ
for copies alone. The k-th neighbour never counts the image itself.
"""

from __future__ import annotations

from dataclasses import dataclass

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
"""k of Kynkaanniemi et al., of precision, recall and realism."""
NEIGHBOUR_OF_DENSITY = 5
"""k of Naeem et al., of density and coverage."""
_TIE = 1 + 1e-9


@dataclass(frozen=True)
class Overlap:
    """How much two sets lie in the same places. All depend on both numbers of images: compare at equal ones.

    Attributes:
        precision: Share of fake images within the ball of some real one.
        recall: Share of real images within the ball of some fake one.
        density: In how many balls of real images a fake one lies, divided by k: 1 is expected of equal distributions.
            One outlier among the real images changes it little, while its large ball raises the precision.
        coverage: Share of real images whose ball holds a fake one; see `metrics.coverage`.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def overlap(
    real: npt.ArrayLike, fake: npt.ArrayLike, *, k: int = NEIGHBOUR, k_density: int = NEIGHBOUR_OF_DENSITY
) -> Overlap:
    """Return precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991, equation 2), density and coverage.

    The latter are equations 6 and 10 of Naeem et al. 2020 (arXiv:2002.09797). Euclidean; distances are computed
    1,024 rows at a time, so 5,000 and 5,000 images of 2,048 dimensions need less than 1 GB.

    Args:
        real: float (n, d), n > k and k_density; `fake`: float (m, d), m > k.
        k: Which neighbour, for precision and recall; `k_density`: for density and coverage.

    Raises:
        InputError: too few images, different dimensions, or a value that is not finite.
    """
    first, second = checked_pair(real, fake, at_least=k + 1)
    checked_features(f"real set, neighbour {k_density}", first, at_least=k_density + 1)
    of_real, of_real_density = neighbour_distances(first, (k, k_density)) ** 2 * _TIE
    (of_fake,) = neighbour_distances(second, (k,)) ** 2 * _TIE
    centre = first.mean(axis=0)
    precise, recalled, balls, covered = np.zeros(len(second), dtype=bool), 0, 0, 0
    start = 0
    for block in squared_distances(first - centre, second - centre):
        rows = slice(start, start + len(block))
        precise |= (block <= of_real[rows, None]).any(axis=0)
        recalled += int((block <= of_fake).any(axis=1).sum())
        inside = (block <= of_real_density[rows, None]).sum(axis=1)
        balls += int(inside.sum())
        covered += int((inside > 0).sum())
        start += len(block)
    n, m = len(first), len(second)
    return Overlap(float(precise.mean()), recalled / n, balls / (k_density * m), covered / n)


def realism(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = NEIGHBOUR) -> FloatArray:
    """Return the realism of every fake image, >= 0: from 1 on it lies within the ball of a real one.

    Kynkaanniemi et al. 2019 (arXiv:1904.06991, equation 3): the largest ratio of a real image's radius to its distance
    from the fake one, over the half of the real images with the smaller radii; infinite for a copy.

    Args:
        real: float (n, d), n > k; `fake`: float (m, d).
        k: Which neighbour.

    Raises:
        InputError: n <= k, no fake image, different dimensions, or a value that is not finite.
    """
    first, second = checked_pair(real, fake, at_least=1)
    checked_features(f"real set, neighbour {k}", first, at_least=k + 1)
    (radii,) = neighbour_distances(first, (k,))
    usual = radii <= np.median(radii)
    centre = first.mean(axis=0)
    blocks = squared_distances(second - centre, first[usual] - centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Nothing but the same image is at distance 0, and a ball of radius 0 holds that.
        ratios = [np.where(block > 0, radii[usual] / np.sqrt(block), np.inf).max(axis=1) for block in blocks]
    return np.concatenate(ratios)
