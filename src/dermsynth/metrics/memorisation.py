"""Does a generator repeat its training images, and does it tell who was among them?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError
from dermsynth.metrics.features import FloatArray, checked_features, checked_pair, nearest_rows, neighbour_distances
from dermsynth.metrics.lesions import Lesions, auc_statistic
from dermsynth.metrics.statistics import estimate

Names = npt.NDArray[np.str_]

_Z = 1.959963984540054
_FEWEST_OF_CELL = 20
"""With fewer images, ranks say little."""


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


def share_nearer_to_train(
    synthetic: npt.ArrayLike, train: npt.ArrayLike, holdout: npt.ArrayLike, lesions: tuple[Names, Names] | None = None
) -> NearTrain:
    """Return the share of synthetic images whose nearest real image is a training image; ties count one half.

    Train and holdout must be equally many, since a larger set is nearer by chance alone, and must share no lesion.
    Synthetic images whose nearest real images show one lesion stand or fall together: with `lesions` the interval is
    that of the number of images which the variance between these groups implies, with Student's quantile for their
    number, so that a generator of few pictures proves little. Without, it takes all images as independent and is too
    narrow.

    Args:
        synthetic: float (n, d); `train` and `holdout`: float (m, d), Euclidean distances.
        lesions: Of the m training and the m held-out images.

    Raises:
        InputError: sets of different size or dimensions, an empty set, or a value that is not finite.
    """
    fakes = checked_features("synthetic set", synthetic, at_least=1)
    seen, unseen = checked_pair(train, holdout, at_least=1)
    if len(seen) != len(unseen):
        raise InputError(f"{len(seen)} training and {len(unseen)} held-out images; draw equally many of both")
    _check_dimensions(fakes, seen)
    (to_seen, near_seen), (to_unseen, near_unseen) = (nearest_rows(fakes, real) for real in (seen, unseen))
    nearer = (to_seen < to_unseen) + 0.5 * (to_seen == to_unseen)
    share, independent, quantile = float(nearer.mean()), float(len(fakes)), _Z
    if lesions is not None:
        nearest = np.where(to_seen <= to_unseen, lesions[0][near_seen], lesions[1][near_unseen])
        independent, quantile = _clustered(nearer, nearest)
    low, high = _wilson(share, independent, quantile)
    return NearTrain(share, low, high, len(fakes))


def authenticity(synthetic: npt.ArrayLike, train: npt.ArrayLike) -> float:
    """Return the share of synthetic images that are farther from their nearest training image than that is from others.

    Alaa et al. 2022 (arXiv:2102.08921, section 3.3). 0 for copies, but neither 0.5 nor 1 for new real images: compare
    with the value of held-out ones.

    Args:
        synthetic: float (n, d); `train`: float (m, d), m > 1.

    Raises:
        InputError: fewer than 2 training images, no synthetic one, other dimensions, or a value that is not finite.
    """
    seen, fakes = checked_pair(train, synthetic, at_least=1)
    checked_features("training set", seen, at_least=2)
    distances, rows = nearest_rows(fakes, seen)
    return float((distances > neighbour_distances(seen, (1,))[0][rows]).mean())


@dataclass(frozen=True)
class Copying:
    """The copying statistic: standard normal where synthetic and held-out images are equally near to train.

    Attributes:
        z: Far below 0 where synthetic images are nearer: copies. Far above 0 where they are farther.
        cells: Parts of the space that were compared.
        images: Synthetic images in them.
    """

    z: float
    cells: int
    images: int


def copying_statistic(
    synthetic: npt.ArrayLike, train: npt.ArrayLike, holdout: npt.ArrayLike, *, cells: int = 3
) -> Copying | None:
    """Return C_T of Meehan et al. 2020 (arXiv:2004.05675): within cells of the training images, a Mann-Whitney test.

    Whether distances from synthetic images to train tend to be smaller than those from held-out images; the z of the
    cells are averaged by their held-out images. Cells with fewer than 20 synthetic or held-out images are left
    out; None if that is all of them. The cells are those of k-means. Photos of one lesion
    count as independent, so few lesions with many photos make z too large.

    Args:
        synthetic: float (n, d); `train`: float (m, d); `holdout`: float (l, d), no lesion of train in it.
        cells: The paper's 3.

    Raises:
        InputError: fewer training images than cells, other dimensions, or a value that is not finite.
    """
    from scipy.stats import rankdata
    from sklearn.cluster import KMeans

    seen, unseen = checked_pair(train, holdout, at_least=1)
    fakes = checked_features("synthetic set", synthetic, at_least=1)
    _check_dimensions(fakes, seen)
    checked_features("training set", seen, at_least=cells)
    centres = KMeans(cells, n_init=10, random_state=0).fit(seen).cluster_centers_
    (of_fakes, of_unseen), (far_fakes, far_unseen) = (
        [nearest_rows(images, places)[which] for images in (fakes, unseen)]
        for which, places in ((1, centres), (0, seen))
    )
    found = []
    for cell in range(cells):
        one, other = far_fakes[of_fakes == cell], far_unseen[of_unseen == cell]
        n, m = len(one), len(other)
        if min(n, m) >= _FEWEST_OF_CELL:
            u = rankdata(np.concatenate([one, other]))[:n].sum() - n * (n + 1) / 2
            found.append(((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12), m, n))
    if not found:
        return None
    z, weights, images = (np.array(part) for part in zip(*found, strict=True))
    return Copying(float(np.average(z, weights=weights)), len(found), int(images.sum()))


@dataclass(frozen=True)
class Membership:
    """How well one who has the synthetic images can tell who was in the training set.

    Attributes:
        auc: The chance that a training image is nearer to the synthetic ones than an unseen image; 0.5 tells nothing.
        low: Lower end of its 95 % interval, clustered by lesion; `high`: its upper end.
        images: Training images; as many unseen ones.
    """

    auc: float
    low: float
    high: float
    images: int


def membership_attack(
    synthetic: npt.ArrayLike, train: npt.ArrayLike, holdout: npt.ArrayLike, lesions: tuple[Names, Names]
) -> Membership:
    """Attack by the distance to the nearest synthetic image (Chen et al. 2020, arXiv:1909.03935, section 4.2).

    Args:
        synthetic: float (n, d); `train`: float (m, d), images that the generator learnt from; `holdout`: float (l, d),
            of other lesions.
        lesions: Of the m and of the l images: the unit of the interval (`metrics.statistics`).

    Raises:
        InputError: fewer than 2 lesions on a side, other dimensions, or a value that is not finite.
    """
    seen, unseen = checked_pair(train, holdout, at_least=2)
    fakes = checked_features("synthetic set", synthetic, at_least=1)
    _check_dimensions(fakes, seen)
    for name, ids in zip(("training", "held-out"), lesions, strict=True):
        if len(np.unique(ids)) < 2:
            raise InputError(f"one lesion in the {name} set; an interval needs at least two")
    members = np.repeat([1, 0], [len(seen), len(unseen)]).astype(np.int64)
    near = -np.concatenate([nearest_rows(real, fakes)[0] for real in (seen, unseen)])
    groups = Lesions.of(members, np.concatenate(lesions), 2)
    found = estimate(auc_statistic(members, np.stack([-near, near], axis=1)[None], groups), [0])
    return Membership(found.mean, found.low, found.high, len(seen))


def _check_dimensions(fakes: FloatArray, real: FloatArray) -> None:
    if fakes.shape[1] != real.shape[1]:
        raise InputError(f"{fakes.shape[1]} and {real.shape[1]} dimensions; encode all sets with the same encoder")


def _clustered(values: FloatArray, groups: Names) -> tuple[float, float]:
    """Return how many independent values have the variance of this mean over groups, and Student's 97.5 % quantile.

    At most the number of values. Of one group nothing can be said: its quantile is infinite.
    """
    from scipy.special import stdtrit

    of_value = np.unique(groups, return_inverse=True)[1]
    count = int(of_value.max()) + 1
    if count == 1:
        return 1.0, np.inf
    quantile = float(stdtrit(count - 1, 0.975))
    spread = float(values.var())
    if spread == 0:
        return float(count), quantile
    variance = (np.bincount(of_value, values - values.mean()) ** 2).sum() / len(values) ** 2 * count / (count - 1)
    return (min(len(values), spread / variance) if variance > 0 else float(len(values))), quantile


def _wilson(share: float, n: float, quantile: float) -> tuple[float, float]:
    if np.isinf(quantile):
        return 0.0, 1.0
    centre = (share + quantile**2 / (2 * n)) / (1 + quantile**2 / n)
    half = quantile / (1 + quantile**2 / n) * float(np.sqrt(share * (1 - share) / n + quantile**2 / (4 * n**2)))
    return max(centre - half, 0.0), min(centre + half, 1.0)
