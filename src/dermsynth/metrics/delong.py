"""Areas under ROC curves of several classifiers on the same images, with their covariance (DeLong et al. 1988).

The areas of F classifiers on one test set are correlated: they rank the same lesions. Their covariance over other test
sets follows from placement values without redrawing anything: the placement of a positive is the share of negatives
ranked below it, of a negative the share of positives ranked above it, ties one half. Midranks give all of them in
O(N log N) (Sun & Xu 2014, IEEE Signal Processing Letters 21:1389). Photos of one lesion are no independent cases, so
placements are summed over each lesion first (Obuchowski 1997, Biometrics 53:567).

The covariance is that over lesions for classifiers that are held: how another training seed would differ is not in it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsynth.core.errors import InputError

FloatArray = npt.NDArray[np.float64]


def delong(
    positive: npt.NDArray[np.bool_], scores: FloatArray, clusters: npt.NDArray[np.int64] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the areas of F score columns for one positive class, and the areas' covariance over lesions.

    The variance of a difference of areas i and j is covariance[i, i] + covariance[j, j] - 2 covariance[i, j].

    Args:
        positive: bool (N,), is the image of the positive class?
        scores: float (F, N), higher for what looks more positive; only the order counts.
        clusters: int64 (N,), the lesion of each image; None if every image is of another lesion.

    Returns:
        float64 (F,) areas in [0, 1]; float64 (F, F) covariance, with the small-sample factors I/(I-1) of the paper for
        I lesions. A perfect ranking has variance 0, which proves nothing about other lesions.

    Raises:
        InputError: fewer than two lesions on either side, or a score that is no number.
    """
    if clusters is None:
        clusters = np.arange(len(positive))
    _, lesion = np.unique(clusters, return_inverse=True)
    per_side = [np.unique(lesion[side]).size for side in (positive, ~positive)]
    if min(per_side) < 2:
        raise InputError(
            f"{per_side[0]} positive and {per_side[1]} negative lesions; the variance of an area needs 2 of each"
        )
    if np.isnan(scores).any():
        fit, image = np.argwhere(np.isnan(scores))[0]
        raise InputError(f"the score of image {image} by classifier {fit} is no number; an area needs an order")
    areas, of_positives, of_negatives = _placements(positive, scores)
    moved_by_positives = _summed(of_positives - areas[:, None], lesion[positive], lesion.max() + 1)
    moved_by_negatives = _summed(of_negatives - areas[:, None], lesion[~positive], lesion.max() + 1)
    either, lesions = np.array(per_side), int(lesion.max()) + 1
    for_positives, for_negatives = either / (either - 1)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    both = lesions / (lesions - 1) * (moved_by_positives @ moved_by_negatives.T) / (n_positive * n_negative)
    covariance = (
        for_positives * (moved_by_positives @ moved_by_positives.T) / n_positive**2
        + for_negatives * (moved_by_negatives @ moved_by_negatives.T) / n_negative**2
        + both
        + both.T
    )
    return areas, covariance


def _placements(positive: npt.NDArray[np.bool_], scores: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return areas (F,), placements of the positives (F, P) and of the negatives (F, N - P)."""
    from scipy.stats import rankdata

    overall = rankdata(scores, axis=1)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    of_positives = (overall[:, positive] - rankdata(scores[:, positive], axis=1)) / n_negative
    of_negatives = 1 - (overall[:, ~positive] - rankdata(scores[:, ~positive], axis=1)) / n_positive
    return of_positives.mean(axis=1), of_positives, of_negatives


def _summed(values: FloatArray, lesion: npt.NDArray[np.intp], lesions: int) -> FloatArray:
    """Return (F, G) sums of (F, K) values over each of G lesions."""
    return np.stack([np.bincount(lesion, weights=row, minlength=lesions) for row in values])
