"""Does a generator repeat its training images?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.features import FloatArray, checked_features, checked_pair

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class NearTrain:
    """How many synthetic images lie nearer to training images than to unseen real ones.

    Attributes:
        share: In [0, 1]; 0.5 where the generator knows both sets equally well, 1 where it copies.
        low: Lower end of the 95 % Wilson interval; `high`: its upper end.
        images: Synthetic images counted.
    """

    share: float
    low: float
    high: float
    images: int


def share_nearer_to_train(synthetic: npt.ArrayLike, train: npt.ArrayLike, holdout: npt.ArrayLike) -> NearTrain:
    """Return the share of synthetic images whose nearest real image is a training image; ties count one half.

    Train and holdout must be equally many, since a larger set is nearer by chance alone, and must share no lesion. The
    interval takes synthetic images as independent; neighbours shared by many of them make it too narrow.

    Args:
        synthetic: float (n, d); `train` and `holdout`: float (m, d), Euclidean distances.

    Raises:
        InputError: sets of different size or dimensions, an empty set, or a value that is not finite.
    """
    fakes = checked_features("synthetic set", synthetic, at_least=1)
    seen, unseen = checked_pair(train, holdout, at_least=1)
    if len(seen) != len(unseen):
        raise InputError(f"{len(seen)} training and {len(unseen)} held-out images; draw equally many of both")
    if fakes.shape[1] != seen.shape[1]:
        raise InputError(f"{fakes.shape[1]} and {seen.shape[1]} dimensions; encode all sets with the same encoder")
    centre = fakes.mean(axis=0)  # squared distances lose fewer digits around the origin
    to_seen, to_unseen = (_nearest(fakes - centre, real - centre) for real in (seen, unseen))
    share = float(np.mean((to_seen < to_unseen) + 0.5 * (to_seen == to_unseen)))
    low, high = _wilson(share, len(fakes))
    return NearTrain(share, low, high, len(fakes))


def _nearest(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the squared distance of each row of x to the nearest row of y."""
    squares = (y**2).sum(axis=1)
    found = [
        ((block**2).sum(axis=1)[:, None] - 2 * block @ y.T + squares).min(axis=1)
        for block in (x[start : start + _ROWS_AT_ONCE] for start in range(0, len(x), _ROWS_AT_ONCE))
    ]
    return np.concatenate(found)


def _wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.959963984540054
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(centre - half, 0.0), min(centre + half, 1.0)
